"""What a Prometheus reads: counts kept here in plain dicts, and figures that are asked for at each scrape.

Counting costs a request less than a microsecond (docs/decisions/0029). Owns: what is counted by request. Leaves: what
stores, keys and webhooks know of themselves to the sources that the composition root names with `asks`, the page to
prometheus.py. Rule: no label holds what a client sent.
"""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import msgspec

from detent.ports import Counted

log = logging.getLogger("detent.metrics")

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PATIENCE: Final = 2.0  # seconds that one source may take at a scrape


class Figure(msgspec.Struct, frozen=True):
    """One value of a source; figures of one name are told together. A `total` only ever rises."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = {}
    total: bool = False


Source = Callable[[], AsyncIterator[Figure]]


class Counts(msgspec.Struct):
    """What was counted since the start."""

    events: dict[tuple[str, ...], int] = {}  # a name and its labels
    answers: dict[tuple[str, int], int] = {}  # endpoint and status
    errors: dict[str, int] = {}
    took: dict[str, list[float]] = {}  # of an endpoint: how many in each bucket, then the sum of seconds


class Metrics:
    """Implements ports.Meter."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._sources: list[Source] = []

    def count(self, what: Counted, *labels: str, by: int = 1) -> None:
        key = (what, *labels)
        self._counts.events[key] = self._counts.events.get(key, 0) + by

    def answered(self, endpoint: str, status: int, error: str, seconds: float) -> None:
        counts, key = self._counts, (endpoint, status)
        counts.answers[key] = counts.answers.get(key, 0) + 1
        if error:
            counts.errors[error] = counts.errors.get(error, 0) + 1
        took = counts.took.get(endpoint)
        if took is None:
            took = counts.took[endpoint] = [0.0] * (len(SECONDS) + 2)
        took[bisect_left(SECONDS, seconds)] += 1
        took[-1] += seconds

    def asks(self, source: Source) -> None:
        """Ask this, too, at each scrape."""
        self._sources.append(source)

    async def page(self, accept: str) -> tuple[bytes, str]:
        """Everything, in the format that was asked for, and its content type."""
        from detent.sinks.prometheus import written  # few starts are followed by a scrape

        figures: list[Figure] = []
        for source in self._sources:
            figures += await _answers(source)
        return written(self._counts, figures, accept)


async def _answers(source: Source) -> list[Figure]:
    """All figures, or those that came before the source failed: a scrape tells what can be told."""
    figures: list[Figure] = []
    try:
        async with asyncio.timeout(PATIENCE):
            async for figure in source():
                figures.append(figure)
    except TimeoutError:
        log.warning("figures are missing from this scrape: their source took more than %.0f seconds", PATIENCE)
    except Exception as error:
        log.warning("figures are missing from this scrape: %s", error)
    return figures
