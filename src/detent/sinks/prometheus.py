"""The page that a Prometheus reads: names, escaping, formats and the figures of the process are prometheus_client's."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from detent.ports import Counted
from detent.sinks.metrics import SECONDS, Counts, Figure

_PROCESS: Final = ProcessCollector(registry=None)
_COUNTED: Final[Mapping[Counted, tuple[str, tuple[str, ...]]]] = {
    "refreshes": ("Refresh tokens presented, by what became of it and, if refused, why.", ("outcome", "reason")),
    "tokens_issued": ("Answers of the token endpoint that hand out tokens.", ("grant",)),
    "sign_ins": ("Passwords tried at the page or by the password grant.", ("outcome",)),
    "logout_tokens": ("Logout tokens sent to apps, by what became of the attempt.", ("outcome",)),
    "sweeps": ("Rounds of deleting what is over.", ()),
    "swept_rows": ("Rows deleted because they were over.", ()),
}


def written(counts: Counts, figures: Iterable[Figure], accept: str) -> tuple[bytes, str]:
    """The page in the format that was asked for, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(_Told([*_families(counts), *_told(figures), *_PROCESS.collect()])), content_type


class _Told(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _families(counts: Counts) -> Iterator[Metric]:
    for what, (text, labels) in _COUNTED.items():
        counter = CounterMetricFamily(f"detent_{what}", text, labels=labels)
        for (name, *values), count in counts.events.items():
            if name == what:
                counter.add_metric(values, count)
        yield counter
    answers = CounterMetricFamily("detent_requests", "Requests answered.", labels=("endpoint", "status"))
    for (endpoint, status), count in counts.answers.items():
        answers.add_metric((endpoint, str(status)), count)
    yield answers
    errors = CounterMetricFamily("detent_errors", "Errors answered, by OAuth code.", labels=("error",))
    for error, count in counts.errors.items():
        errors.add_metric((error,), count)
    yield errors
    yield _durations(counts)


def _durations(counts: Counts) -> Metric:
    text = "From the last byte of a request to its answer."
    durations = HistogramMetricFamily("detent_request_seconds", text, labels=("endpoint",))
    for endpoint, (*fallen, seconds) in counts.took.items():
        running, buckets = 0.0, []
        for bound, count in zip((*SECONDS, float("inf")), fallen, strict=True):
            running += count
            buckets.append((str(bound) if bound != float("inf") else "+Inf", running))
        durations.add_metric((endpoint,), buckets, sum_value=seconds)
    return durations


def _told(figures: Iterable[Figure]) -> Iterator[Metric]:
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
