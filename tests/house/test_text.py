"""What is written down: docstrings, pages, migrations, and what nothing committed may hold."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

KEPT_OUT = {".git", ".venv", ".demo", ".bench", ".torture", "dist", "build", "__pycache__"}
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".sql",
    ".yml",
    ".yaml",
    ".json",
    ".cfg",
    ".css",
    ".html",
    ".js",
    ".sh",
    "",
}

HOSTS = re.compile(
    r"pypi\.|pythonhosted|[a-z0-9.-]*(registry|artifactory|nexus|mirror|proxy)[a-z0-9-]*\.[a-z]{2,}(/|:\d)|index-url[ =]\S|"
    r"/simple/\b|npmjs\.|docker\.io|ghcr\.io",
    re.IGNORECASE,
)
PLACES = re.compile(
    r"(?<![\w.~$<}])/(root|work|opt|Users|home/(?!USER\b|you\b|alice\b|app\b)[a-z]+|mnt|workspace)(/[\w.-]+)"
)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def committed(root: Path) -> list[Path]:
    """Every text file that could be committed; without git, so that it also works on an unpacked archive."""
    found = []
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if any(part in KEPT_OUT or part.endswith((".egg-info", "_cache")) for part in parts):
            continue
        if parts[0].startswith(".") and parts[0] not in (".ci", ".editorconfig", ".gitignore"):
            continue
        if path.is_file() and path.suffix in TEXT:
            found.append(path)
    return found


def findings(root: Path, pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(root)}:{number}: {hit[0]}"
        for path in committed(root)
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (hit := pattern.search(line))
    ]


def test_no_file_names_a_registry(root: Path) -> None:
    assert findings(root, HOSTS) == []


def test_no_file_names_a_place_on_somebodys_machine(root: Path) -> None:
    assert findings(root, PLACES) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (HOSTS, "see files.pythonhosted" + ".org/packages"),
        (HOSTS, "--extra-index" + "-url=somewhere"),
        (PLACES, "cd /root" + "/project"),
        (PLACES, "state in /home" + "/karl/watchbell"),
    ],
)
def test_a_planted_host_or_place_is_found(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


def test_requirements_are_hashed_and_name_no_place(root: Path) -> None:
    for path in sorted((root / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\S)", text.strip())
        assert all(re.match(r"[a-z0-9-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries), (
            path
        )
        assert "://" not in text


def test_what_tests_run_on_is_what_users_run_on(root: Path) -> None:
    def pins(name: str) -> set[str]:
        return set(
            re.findall(
                r"^[a-z0-9-]+==\S+", (root / "requirements" / name).read_text(encoding="utf-8"), re.MULTILINE
            )
        )

    assert pins("run.txt") <= pins("dev.txt")


def test_every_public_name_is_documented() -> None:
    import watchbell

    silent = []
    for name in watchbell.__all__:
        thing = getattr(watchbell, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        if not own_docstring(thing):
            silent.append(name)
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            silent += [
                f"{name}.{method}"
                for method, body in vars(thing).items()
                if not method.startswith("_") and inspect.isfunction(body) and not own_docstring(body)
            ]
    assert silent == []


def own_docstring(thing: object) -> bool:
    """The signature that a dataclass writes for itself is no docstring."""
    text = getattr(thing, "__doc__", None) or ""
    return bool(text.strip()) and not text.startswith(f"{getattr(thing, '__name__', '')}(")


def test_migrations_are_numbered_without_holes(source: Path) -> None:
    names = sorted(path.name for path in (source / "store" / "sqlite" / "migrations").glob("*.sql"))
    assert names
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) for name in names), names
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_links_between_the_pages_lead_somewhere(root: Path) -> None:
    pages = [path for path in committed(root) if path.suffix == ".md"]
    assert root / "docs" / "design" / "README.md" in pages
    broken = []
    for page in pages:
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            if "://" in link or link.startswith("mailto:"):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(root)}: {link}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_design_page_is_in_the_index(root: Path) -> None:
    folder = root / "docs" / "design"
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in sorted(folder.glob("*.md")) if f"({page.name})" not in index] == [
        "README.md"
    ]


def test_importing_watchbell_loads_no_web_framework_and_no_pydantic() -> None:
    program = "import sys, watchbell; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    reply = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(reply.stdout.split())
    assert "watchbell" in loaded
    heavy = {
        "celery", "django", "fastapi", "flask", "httpx2", "jinja2", "pydantic", "pydantic_core", "pydantic_settings", "rich",
        "sqlalchemy", "starlette", "uvicorn",
    }  # fmt: skip
    assert loaded & heavy == set()
