"""The drift panel of a server: quiet on the same traffic, loud on another, and never in the way."""

from typing import Any

import numpy as np

from shared import monitoring
from shared.evaluation import drift


class Bundle:
    """A bundle whose columns are what it is sent."""

    name, signatures = "model", ("drift",)

    def __init__(self, reference: dict[str, Any]) -> None:
        self._reference = reference
        self.rows = 0

    def extra(self, _name: str) -> dict[str, Any]:
        return self._reference

    def run(self, inputs: dict[str, Any], *, signature: str) -> dict[str, Any]:
        assert signature == "drift"
        self.rows += len(inputs["x"])
        if (inputs["x"] > 1e6).any():
            raise RuntimeError("cannot")
        return {"length": inputs["x"], "label": np.where(inputs["x"] > 0, "yes", "no").astype(object)}


def traffic(seed: int, rows: int, shift: float = 0.0) -> Any:
    return np.random.default_rng(seed).normal(shift, 1.0, rows)


def columns(values: Any) -> dict[str, Any]:
    return {"length": values, "label": np.where(values > 0, "yes", "no").astype(object)}


def watch(rate: float = 1e9) -> tuple[monitoring.Watch, Bundle]:
    loaded: Any = Bundle(drift.reference(columns(traffic(0, 2_000))))
    return monitoring.Watch(loaded, rows_per_second=rate), loaded


def show(seen: monitoring.Watch, values: Any) -> dict[str, Any]:
    for start in range(0, len(values), 10):
        seen.see({"x": values[start : start + 10]})
        seen.settle()
    return seen.summary()


def test_nothing_is_judged_before_enough_rows_were_seen() -> None:
    seen, _ = watch()
    summary = show(seen, traffic(1, monitoring.NEEDED_ROWS - 10))
    assert (summary["drift"], summary["columns"]) == (None, [])
    summary = show(seen, traffic(2, 10))
    assert summary["drift"] is False
    assert summary["n"] == summary["served"] == monitoring.NEEDED_ROWS
    seen.close()


def test_traffic_of_the_same_source_raises_no_alarm_more_often_than_stated() -> None:
    alarms = 0
    for seed in range(1, 41):
        seen, _ = watch()
        alarms += bool(show(seen, traffic(seed, 400))["drift"])
        seen.close()
    # With a chance of 0.01 each, 4 of 40 come about once in 1,400 tries.
    assert alarms <= 3


def test_traffic_of_another_kind_raises_an_alarm_that_names_the_column() -> None:
    seen, _ = watch()
    summary = show(seen, traffic(1, 400, shift=1.0))
    assert summary["drift"] is True
    assert {row["name"] for row in summary["columns"] if row["drift"]} == {"length", "label"}
    seen.close()


def test_old_traffic_is_forgotten() -> None:
    seen, _ = watch()
    assert show(seen, traffic(1, 400, shift=2.0))["drift"] is True
    assert show(seen, traffic(2, monitoring.KEPT_ROWS))["drift"] is False
    seen.close()


def test_only_some_rows_a_second_are_looked_at_but_all_are_counted() -> None:
    seen, loaded = watch(rate=0.001)
    summary = show(seen, traffic(1, 500))
    assert summary["served"] == 500
    assert loaded.rows == summary["n"] <= 33
    seen.close()


def test_rows_that_cannot_be_looked_at_end_nothing() -> None:
    seen, _ = watch()
    show(seen, np.full(10, 1e9))
    assert show(seen, traffic(1, 300))["drift"] is False
    seen.close()


def test_without_a_reference_nothing_is_watched() -> None:
    loaded: Any = Bundle({})
    seen = monitoring.Watch(loaded, rows_per_second=5.0)
    summary = show(seen, traffic(1, 20))
    assert (summary["watched"], summary["drift"], summary["served"], loaded.rows) == (False, None, 20, 0)
    seen.close()
