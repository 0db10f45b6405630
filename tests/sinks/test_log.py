"""The structured log: one line per event whatever stands in it, in a fixed order, and never in anybody's way."""

import io
import json
import logging
import threading

import pytest

from detent.core.events import Event
from detent.core.ids import Instant
from detent.sinks import log as log_module
from detent.sinks.log import LogSink, logging_to

NOW = Instant(1_800_000_000)


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.quick
@pytest.mark.parametrize("nasty", ["a\r\nb", "\x1b[31mred", "\u202egnp.exe", "\u2028", "\x85", "\x7f", '"}', "\x00"])
def test_l2_a_value_cannot_break_the_line_nor_reach_the_terminal(nasty: str) -> None:
    stream = io.StringIO()
    with logging_to(stream, "info"):
        LogSink().emit(Event("revoked", NOW, client_id=nasty, reason=nasty))
        logging.getLogger("detent.web").warning("%s", nasty)
    written = stream.getvalue()
    assert written.count("\n") == 2
    assert all(" " <= character <= "~" or character == "\n" for character in written)
    event, line = lines_of(stream)
    assert (event["client_id"], event["reason"], line["message"]) == (nasty, nasty, nasty)


@pytest.mark.quick
def test_an_event_is_a_line_with_its_sentence_and_every_field_in_order() -> None:
    stream = io.StringIO()
    with logging_to(stream, "info"):
        LogSink().emit(Event("reuse_detected", NOW, about="family", presented=3))
    (line,) = lines_of(stream)
    assert list(line) == [
        "time", "level", "logger", "message", "event", "at", "about", "client_id", "subject", "generation",
        "presented", "reason", "network", "agent", "support_id", "refreshes",
    ]  # fmt: skip
    assert (line["level"], line["event"], line["presented"]) == ("warning", "reuse_detected", 3)
    assert "Refresh token 3 had been used before" in str(line["message"])


@pytest.mark.quick
def test_the_level_is_kept_and_others_speak_only_to_warn() -> None:
    stream = io.StringIO()
    with logging_to(stream, "warning"):
        LogSink().emit(Event("revoked", NOW))
        logging.getLogger("detent.web").info("not this")
        logging.getLogger("uvicorn.error").info("nor this")
        logging.getLogger("uvicorn.error").warning("this")
    assert [line["message"] for line in lines_of(stream)] == ["this"]


@pytest.mark.quick
def test_a_traceback_stays_in_its_line() -> None:
    stream = io.StringIO()
    with logging_to(stream, "info"):
        try:
            raise ValueError("inside\noutside")
        except ValueError:
            logging.getLogger("detent.web").exception("fault")
    (line,) = lines_of(stream)
    assert "ValueError: inside\noutside" in str(line["traceback"])


@pytest.mark.quick
def test_nothing_is_left_of_it_afterwards() -> None:
    before = list(logging.getLogger().handlers), logging.getLogger().level, logging.getLogger("detent").level
    with logging_to(io.StringIO(), "debug"):
        pass
    assert (logging.getLogger().handlers, logging.getLogger().level, logging.getLogger("detent").level) == before


class Stuck(io.StringIO):
    """A terminal that shows nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.free = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.free.wait()
        return super().write(text)


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    stream = Stuck()
    more = 10
    with logging_to(stream, "info"):
        LogSink().emit(Event("revoked", NOW))
        stream.reached.wait()  # the writing thread is stuck in the first line
        for _ in range(log_module.WAITING_LINES + more):
            LogSink().emit(Event("revoked", NOW))
        stream.free.set()
    lines = lines_of(stream)
    assert len(lines) == 1 + log_module.WAITING_LINES + 1
    assert lines[-1]["message"] == f"{more} lines were dropped: nobody read them"
