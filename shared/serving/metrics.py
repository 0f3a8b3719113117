"""What operators see of a server: Prometheus metrics, and one line of JSON per request. Nothing that was sent."""

import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy.typing as npt
import orjson
import prometheus_client
from prometheus_client import registry as collectors
from prometheus_client.core import GaugeMetricFamily

from shared.serving import batching, versions
from shared.serving import registry as registries

log = logging.getLogger("fieldnets.requests")

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
_SCORES = tuple(round(0.05 * step, 2) for step in range(1, 21))
# Answers of several findings have thousands of combinations: only so many get a counter of their own.
_MOST_DECISIONS = 40
# Whom a measurement is of: the names and numbers are the server's own, and few.
_VERSION = ("model", "version")


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.requests = prometheus_client.Counter(
            "fieldnets_requests", "Requests answered", ("route", "status", *_VERSION), registry=self.registry
        )
        self.seconds = prometheus_client.Histogram(
            "fieldnets_request_seconds",
            "Time to an answer",
            ("route", *_VERSION),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_rows = prometheus_client.Histogram(
            "fieldnets_batch_rows", "Rows answered together", _VERSION, buckets=_ROWS, registry=self.registry
        )
        self.model_seconds = prometheus_client.Histogram(
            "fieldnets_model_seconds", "Time of a batch", _VERSION, buckets=_SECONDS, registry=self.registry
        )
        self.queue_seconds = prometheus_client.Histogram(
            "fieldnets_queue_seconds",
            "Wait of a batch's oldest row",
            _VERSION,
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.scores = prometheus_client.Histogram(
            "fieldnets_score", "Highest score of a row", _VERSION, buckets=_SCORES, registry=self.registry
        )
        self.decisions = prometheus_client.Counter(
            "fieldnets_decisions", "Decisions", (*_VERSION, "decision"), registry=self.registry
        )
        prometheus_client.ProcessCollector(registry=self.registry)
        self._known: dict[tuple[str, str], set[str]] = {}
        # Finding a child by its labels takes longer than counting.
        self._children = functools.cache(self._requested)
        self._scores_of = functools.cache(self.scores.labels)
        self._decisions_of = functools.cache(self.decisions.labels)

    def served(self, name: str, number: int) -> Callable[[batching.Served], None]:
        """Return what is told of each batch of a version."""
        rows, seconds, waited = (
            histogram.labels(name, str(number))
            for histogram in (self.batch_rows, self.model_seconds, self.queue_seconds)
        )

        def tell(batch: batching.Served) -> None:
            rows.observe(batch.rows)
            seconds.observe(batch.seconds)
            waited.observe(batch.waited_seconds)

        return tell

    def requested(self, route: str, status: int, seconds: float, version: tuple[str, str]) -> None:
        """Count a request; ``version``: the name and number of who was asked, empty where nobody was."""
        counted, timed = self._children(route, status, version)
        counted.inc()
        timed.observe(seconds)

    def answered(self, version: tuple[str, str], outputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Count the decisions and scores of an answer of a version, by its name and number."""
        if (scores := outputs.get("scores", outputs.get("score"))) is not None:
            histogram = self._scores_of(*version)
            for row in scores.tolist():
                histogram.observe(max(row) if isinstance(row, list) else row)
        if "decision" in outputs:
            known = self._known.setdefault(version, set())
            for decision in outputs["decision"].tolist():
                if len(known) < _MOST_DECISIONS:
                    known.add(decision)
                self._decisions_of(*version, decision if decision in known else "other").inc()

    def _requested(self, route: str, status: int, version: tuple[str, str]) -> tuple[Any, Any]:
        return self.requests.labels(route, str(status), *version), self.seconds.labels(route, *version)

    def watch(self, models: registries.Registry) -> None:
        """Add what is read from the models when somebody looks: versions, queues and drift."""
        self.registry.register(_Models(models))

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return prometheus_client.generate_latest(self.registry)


class _Models(collectors.Collector):
    """Reads the state of the models."""

    def __init__(self, models: registries.Registry) -> None:
        self._models = models

    def collect(self) -> Iterator[Any]:
        served = GaugeMetricFamily("fieldnets_version", "Versions served", labels=(*_VERSION, "engine"))
        waiting = GaugeMetricFamily("fieldnets_queue_rows", "Rows that wait", labels=_VERSION)
        psi = GaugeMetricFamily("fieldnets_drift_psi", "Population stability index", labels=(*_VERSION, "column"))
        alarm = GaugeMetricFamily("fieldnets_drift", "Whether a column drifted", labels=(*_VERSION, "column"))
        for model in self._models.models.values():
            for number, version in sorted(model.served.items()):
                served.add_metric([model.name, str(number), version.engine_name], 1)
                waiting.add_metric([model.name, str(number)], version.waiting_rows)
                self._add_drift(version, psi, alarm)
        yield from (served, waiting, psi, alarm)

    @staticmethod
    def _add_drift(version: versions.Version, psi: Any, alarm: Any) -> None:
        for row in version.watch.summary()["columns"]:
            labels = [version.name, str(version.number), row["name"]]
            psi.add_metric(labels, row["psi"])
            alarm.add_metric(labels, float(row["drift"]))


def show_log(*, quiet: bool) -> None:
    """Let each request be a line on standard error, unless quiet is asked for."""
    log.propagate = False
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]


def log_request(**fields: Any) -> None:
    """Write one line of JSON: time, request id, route, status, milliseconds, bytes; never what was sent."""
    if log.isEnabledFor(logging.INFO):
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        log.info("%s", orjson.dumps({"time": moment, **fields}).decode())
