"""What a Prometheus reads: counts kept here in plain dicts, and figures that are asked for at each scrape.

Counting costs a request less than a microsecond; names, escaping and formats are prometheus_client's, at the scrape
(docs/decisions/0029). Owns: what is counted by request. Leaves: what stores, keys and webhooks know of themselves, to
the sources that the composition root names with `asks`. Rule: no label holds what a client sent.
"""

import asyncio
import logging
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from detent.ports import Counted

log = logging.getLogger("detent.metrics")

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PATIENCE: Final = 2.0  # seconds that one source may take at a scrape
_COUNTED: Final[Mapping[Counted, tuple[str, tuple[str, ...]]]] = {
    "refreshes": ("Refresh tokens presented, by what became of it and, if refused, why.", ("outcome", "reason")),
    "tokens_issued": ("Answers of the token endpoint that hand out tokens.", ("grant",)),
    "sign_ins": ("Passwords tried at the page or by the password grant.", ("outcome",)),
    "sweeps": ("Rounds of deleting what is over.", ()),
    "swept_rows": ("Rows deleted because they were over.", ()),
}


class Figure(msgspec.Struct, frozen=True):
    """One value of a source; figures of one name are told together. A `total` only ever rises."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = {}
    total: bool = False


Source = Callable[[], AsyncIterator[Figure]]


class Metrics:
    """Implements ports.Meter."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], int] = {}
        self._answers: dict[tuple[str, int], int] = {}
        self._errors: dict[str, int] = {}
        self._took: dict[str, list[float]] = {}  # of an endpoint: how many in each bucket, then the sum of seconds
        self._sources: list[Source] = []
        self._process = ProcessCollector(registry=None)

    def count(self, what: Counted, *labels: str, by: int = 1) -> None:
        key = (what, *labels)
        self._counts[key] = self._counts.get(key, 0) + by

    def answered(self, endpoint: str, status: int, error: str, seconds: float) -> None:
        key = (endpoint, status)
        self._answers[key] = self._answers.get(key, 0) + 1
        if error:
            self._errors[error] = self._errors.get(error, 0) + 1
        took = self._took.get(endpoint)
        if took is None:
            took = self._took[endpoint] = [0.0] * (len(SECONDS) + 2)
        took[bisect_left(SECONDS, seconds)] += 1
        took[-1] += seconds

    def asks(self, source: Source) -> None:
        """Ask this, too, at each scrape."""
        self._sources.append(source)

    async def page(self, accept: str) -> tuple[bytes, str]:
        """Everything, in the format that was asked for, and its content type."""
        figures: list[Figure] = []
        for source in self._sources:
            figures += await _answers(source)
        encode, content_type = choose_encoder(accept)
        return encode(_Told([*self._families(), *_told(figures), *self._process.collect()])), content_type

    def _families(self) -> Iterator[Metric]:
        for what, (text, labels) in _COUNTED.items():
            counter = CounterMetricFamily(f"detent_{what}", text, labels=labels)
            for (name, *values), count in self._counts.items():
                if name == what:
                    counter.add_metric(values, count)
            yield counter
        answers = CounterMetricFamily("detent_requests", "Requests answered.", labels=("endpoint", "status"))
        for (endpoint, status), count in self._answers.items():
            answers.add_metric((endpoint, str(status)), count)
        yield answers
        errors = CounterMetricFamily("detent_errors", "Errors answered, by OAuth code.", labels=("error",))
        for error, count in self._errors.items():
            errors.add_metric((error,), count)
        yield errors
        yield self._durations()

    def _durations(self) -> Metric:
        text = "From the last byte of a request to its answer."
        durations = HistogramMetricFamily("detent_request_seconds", text, labels=("endpoint",))
        for endpoint, (*counts, seconds) in self._took.items():
            running, buckets = 0.0, []
            for bound, count in zip((*SECONDS, float("inf")), counts, strict=True):
                running += count
                buckets.append((str(bound) if bound != float("inf") else "+Inf", running))
            durations.add_metric((endpoint,), buckets, sum_value=seconds)
        return durations


class _Told(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


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


def _told(figures: list[Figure]) -> Iterator[Metric]:
    by_name: dict[str, Metric] = {}
    for figure in figures:
        labels = sorted(figure.labels)
        family = by_name.get(figure.name)
        if family is None:
            kind = CounterMetricFamily if figure.total else GaugeMetricFamily
            family = by_name[figure.name] = kind(figure.name, figure.text, labels=labels)
        name = f"{figure.name}_total" if figure.total else figure.name
        family.add_sample(name, dict(figure.labels), figure.value)
    yield from by_name.values()
