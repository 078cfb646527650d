"""Small rooms: the roofs of DESIGN §3, for the package and for the tools beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 50
PARAMETERS = 8
PUBLIC_METHODS = 15
FOLDERS_DEEP = 3
PUBLIC_NAMES = 25

type_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)


def everything(root: Path, modules: list[Path]) -> list[Path]:
    beside = [
        path
        for folder in ("bench", "simulation", "torture", "docs")
        for path in sorted((root / folder).rglob("*.py"))
    ]
    return [*modules, root / "dev.py", *beside]


def nodes(path: Path) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path)))


def test_no_file_is_longer_than_400_lines(root: Path, modules: list[Path]) -> None:
    lengths = {
        str(path.relative_to(root)): len(path.read_text(encoding="utf-8").splitlines())
        for path in everything(root, modules)
    }
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_50_lines(root: Path, modules: list[Path]) -> None:
    long = [
        f"{path.relative_to(root)}:{node.lineno} {node.name}: {lines_of(node)} lines"
        for path in everything(root, modules)
        for node in nodes(path)
        if isinstance(node, type_of_function) and lines_of(node) > FUNCTION_LINES
    ]
    assert long == []


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Decorators count to the frame, the docstring to the prose: neither is what makes a function hard to follow."""
    documented = ast.get_docstring(node, clean=False) is not None
    prose = (node.body[0].end_lineno or 0) - node.body[0].lineno + 1 if documented else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - prose


def test_no_function_takes_more_than_8_parameters(root: Path, modules: list[Path]) -> None:
    wide = [
        f"{path.relative_to(root)}:{node.lineno} {node.name}: {width(node)} parameters"
        for path in everything(root, modules)
        for node in nodes(path)
        if isinstance(node, type_of_function) and width(node) > PARAMETERS
    ]
    assert wide == []


def width(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_no_class_has_more_than_15_public_methods(root: Path, modules: list[Path]) -> None:
    crowded = []
    for path in everything(root, modules):
        for node in nodes(path):
            if not isinstance(node, ast.ClassDef):
                continue
            methods = {
                child.name
                for child in node.body
                if isinstance(child, type_of_function) and not child.name.startswith("_")
            }
            # An `a…` twin is the same verb for people in a loop, not another thing to learn.
            verbs = {name for name in methods if not (name.startswith("a") and name[1:] in methods)}
            if len(verbs) > PUBLIC_METHODS:
                crowded.append(f"{path.relative_to(root)}:{node.lineno} {node.name}: {len(verbs)}")
    assert crowded == []


def test_folders_are_at_most_three_deep(source: Path, modules: list[Path]) -> None:
    djangos = (
        source / "django" / "management" / "commands"
    )  # where Django looks for commands, and nowhere else
    rooms = [path.relative_to(source) for path in modules if path.parent != djangos]
    depths = {str(path): len(path.parts) for path in rooms}
    assert {path: depth for path, depth in depths.items() if depth > FOLDERS_DEEP} == {}


def test_the_package_has_at_most_25_public_names() -> None:
    import watchbell

    assert 0 < len(watchbell.__all__) <= PUBLIC_NAMES


def test_every_module_says_what_it_is_for(root: Path, modules: list[Path]) -> None:
    silent = [
        str(path.relative_to(root))
        for path in everything(root, modules)
        if path.read_text(encoding="utf-8").strip()
        and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert silent == []


def test_every_module_that_annotates_does_so_lazily(root: Path, modules: list[Path]) -> None:
    eager = []
    for path in everything(root, modules):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        future = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
        if (
            any(isinstance(node, (*type_of_function, ast.AnnAssign)) for node in ast.walk(tree))
            and not future
        ):
            eager.append(str(path.relative_to(root)))
    assert eager == []
