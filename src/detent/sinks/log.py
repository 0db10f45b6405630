"""The structured log: one JSON object per line, fields in a fixed order, whatever stands in them.

Lines are written by a thread of their own, so that a terminal or pipe that does not read never holds up a request;
what does not fit in between is dropped and counted. Everything but printable ASCII is escaped: no value can break a
line, colour a terminal or turn its text round (attack L2).
"""

import json
import logging
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import Any, Final, TextIO

import msgspec

from detent.core.events import Event, EventName, told

ALARMS: Final[frozenset[EventName]] = frozenset(
    {"reuse_detected", "reuse_refused", "suspected", "store_behind", "code_replayed", "sign_in_throttled"}
)
WAITING_LINES: Final = 10_000
_log = logging.getLogger("detent.events")


class LogSink:
    """An `EventSink` that writes each event as one line, with the sentence that tells it."""

    def emit(self, event: Event) -> None:
        level = logging.WARNING if event.name in ALARMS else logging.INFO
        _log.log(level, "%s", told(event), extra={"event": event})


class JsonLines(logging.Formatter):
    """time, level, logger, message; then the fields of an event, all of them, or a traceback, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            fields = msgspec.structs.asdict(event)
            line |= {"event": fields.pop("name"), **fields}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True).replace("\x7f", "\\u007f")


class _Waiting(QueueHandler):
    """Hands records to the writing thread as finished lines; never waits for room."""

    queue: queue.SimpleQueue[logging.LogRecord]
    dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return logging.LogRecord(record.name, record.levelno, "", 0, self.format(record), None, None)

    def enqueue(self, record: logging.LogRecord) -> None:
        if self.queue.qsize() < WAITING_LINES:
            self.queue.put_nowait(record)
        else:
            self.dropped += 1


@contextmanager
def logging_to(stream: TextIO, level: str) -> Iterator[None]:
    """Log `detent.*` from this level on, and warnings of everything else, to the stream until the block ends."""
    root, own = logging.getLogger(), logging.getLogger("detent")
    before = root.level, own.level
    waiting = _Waiting(queue.SimpleQueue())
    waiting.setFormatter(JsonLines())
    writer = QueueListener(waiting.queue, logging.StreamHandler(stream))
    root.addHandler(waiting)
    root.setLevel(logging.WARNING)
    own.setLevel(level.upper())
    writer.start()
    try:
        yield
    finally:
        root.removeHandler(waiting)
        root.setLevel(before[0])
        own.setLevel(before[1])
        writer.stop()
        if waiting.dropped:
            text = f"{waiting.dropped} lines were dropped: nobody read them"
            writer.handle(waiting.prepare(_log.makeRecord(_log.name, logging.WARNING, "", 0, text, (), None)))
