"""Log records made inside a run are copied to its log where they are made, and go their way as if nobody had looked."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from watchbell.clock import SystemClock
from watchbell.executors.base import Executor
from watchbell.executors.capture import install_capture, remove_capture
from watchbell.executors.thread import ThreadExecutor

from .conftest import Desk, Remembered, assignment

Run = Callable[[Callable[[], object]], list[str]]


@pytest.fixture
def shop() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop.captured")
    yield logger
    logger.filters.clear()
    logger.handlers.clear()
    logger.propagate = True


@pytest.fixture
def factory() -> Iterator[None]:
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


@pytest.fixture
def run(
    factory: None, clock: SystemClock, sink: Remembered, desk: Desk, ended: list[Executor]
) -> Iterator[Run]:
    """Carries out a function as a run, and gives what is in the log of it then."""
    install_capture(sink)
    executor = ThreadExecutor(clock, sink, desk, 1)
    ended.append(executor)
    count = 0

    def carried_out(function: Callable[[], object]) -> list[str]:
        nonlocal count
        count += 1
        executor.start([assignment(count, function=function)])
        desk.count(count)
        return sink.text(count, "log")

    yield carried_out
    remove_capture(sink)


def handler_of(logger: logging.Logger) -> io.StringIO:
    text = io.StringIO()
    logger.addHandler(logging.StreamHandler(text))
    return text


def fail(logger: logging.Logger) -> None:
    try:
        raise KeyError("nail")
    except KeyError:
        logger.exception("no %s", "nail", stack_info=True)


def test_a_record_has_its_traceback_and_its_stack_in_the_log_of_the_run(
    run: Run, shop: logging.Logger
) -> None:
    (text,) = run(lambda: fail(shop))
    assert text.startswith("no nail\nTraceback (most recent call last):")
    assert "KeyError: 'nail'\nStack (most recent call last):" in text


def test_the_handlers_of_the_application_format_the_traceback_themselves(
    run: Run, shop: logging.Logger
) -> None:
    class Short(logging.Formatter):
        def formatException(self, ei: object) -> str:
            return "short"

    text = handler_of(shop)
    shop.handlers[0].setFormatter(Short())
    run(lambda: fail(shop))
    assert text.getvalue().startswith("no nail\nshort\n")


def test_a_logger_that_does_not_propagate_is_heard_and_one_that_is_not_enabled_is_not(
    run: Run, shop: logging.Logger
) -> None:
    shop.propagate = False
    text = handler_of(shop)

    def speak() -> None:
        shop.warning("heard")
        shop.debug("too low")

    assert run(speak) == ["heard"]
    assert text.getvalue() == "heard\n"


def test_a_record_that_cannot_be_formatted_does_not_end_the_run_and_is_in_its_log_as_it_is(
    run: Run, shop: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    shop.propagate = False
    text = handler_of(shop)

    def speak() -> None:
        shop.warning("%d nails", "many")
        shop.warning("after")

    assert run(speak) == ["%d nails ('many',)", "after"]
    assert text.getvalue() == "after\n"


def test_what_a_filter_of_the_logger_drops_or_hides_is_not_in_the_log_of_the_run(
    run: Run, shop: logging.Logger
) -> None:
    seen = []

    def hide(record: logging.LogRecord) -> bool:
        seen.append(record.getMessage())
        record.msg = record.msg.replace("secret", "***")
        return "drop" not in record.msg

    def speak() -> None:
        shop.warning("a secret")
        shop.addFilter(lambda record: "later" not in record.msg)
        shop.warning("drop")
        shop.warning("later")
        shop.warning("another secret")

    shop.addFilter(hide)
    assert run(speak) == ["a ***", "another ***"]
    assert seen == ["a secret", "drop", "later", "another secret"], "each filter is asked once"


def test_the_filters_of_a_logger_are_its_own_again_afterwards(
    run: Run, shop: logging.Logger, sink: Remembered
) -> None:
    shop.addFilter(lambda _: True)
    own = list(shop.filters)
    assert run(lambda: shop.warning("one")) == ["one"]
    remove_capture(sink)
    assert shop.filters == own


class Record(logging.LogRecord):
    """A record of the application's own."""


def test_a_factory_that_was_there_goes_on_making_the_records(
    factory: None, clock: SystemClock, desk: Desk, ended: list[Executor], sink: Remembered
) -> None:
    logging.setLogRecordFactory(Record)
    install_capture(sink)
    assert isinstance(logging.getLogger("shop").makeRecord("shop", 30, "", 1, "x", (), None), Record)
    assert logging.makeLogRecord({"msg": "from elsewhere", "name": "shop"}).getMessage() == "from elsewhere"
    remove_capture(sink)
    assert logging.getLogRecordFactory() is Record


def test_a_factory_put_in_front_stays_and_ours_behind_it_only_passes_on(
    run: Run, sink: Remembered, shop: logging.Logger
) -> None:
    ours = logging.getLogRecordFactory()

    def front(*args: object, **kwargs: object) -> logging.LogRecord:
        record = ours(*args, **kwargs)
        record.shelf = 7
        return record

    logging.setLogRecordFactory(front)
    assert run(lambda: shop.warning("through both")) == ["through both"]
    remove_capture(sink)
    assert logging.getLogRecordFactory() is front
    assert run(lambda: shop.warning("unheard")) == []
    install_capture(sink)
    assert run(lambda: shop.warning("heard once")) == ["heard once"]
    remove_capture(sink)
    assert logging.getLogRecordFactory() is front


def test_of_two_engines_each_run_has_its_own_words_and_one_that_ends_leaves_the_other_its_capture(
    run: Run, clock: SystemClock, ended: list[Executor], shop: logging.Logger, sink: Remembered
) -> None:
    other, desk = Remembered(), Desk()
    install_capture(other)
    second = ThreadExecutor(clock, other, desk, 1)
    ended.append(second)
    assert run(lambda: shop.warning("mine")) == ["mine"]
    second.start([assignment(1, function=lambda: shop.warning("the other's"))])
    desk.count(1)
    assert other.text(1, "log") == ["the other's"]
    remove_capture(other)
    assert run(lambda: shop.warning("still mine")) == ["still mine"]
    assert len(sink.lines) == 2


def test_a_line_that_a_handler_writes_to_the_standard_error_is_in_the_log_of_the_run_once(
    run: Run, shop: logging.Logger, sink: Remembered, capsys: pytest.CaptureFixture[str]
) -> None:
    install_capture(sink, stdio=True)
    shop.propagate = False
    shop.addHandler(logging.StreamHandler())  # set up after the engine had begun
    assert run(lambda: shop.warning("once")) == ["once"]
    remove_capture(sink)
    assert sink.text(1, "stderr") == []
    assert capsys.readouterr().err == "once\n"
