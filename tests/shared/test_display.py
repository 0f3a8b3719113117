"""What a page is told of a model."""

import pathlib

from shared import files
from shared.bundle import formats

SHOWN = formats.Display(
    title="Kinds of fruit",
    input="image",
    threshold=0.4,
    threshold_rule="max_f1",
    class_names=("apple", "pear"),
    not_for="Not for eating.",
    synthetic=True,
)


def test_everything_a_page_needs_is_there_and_is_json(tmp_path: pathlib.Path) -> None:
    files.write_json(tmp_path / formats.DISPLAY_FILE, SHOWN.to_json(None))
    assert files.read_json(tmp_path / formats.DISPLAY_FILE) == {
        "title": "Kinds of fruit",
        "input": "image",
        "threshold": 0.4,
        "threshold_rule": "max_f1",
        "class_names": ["apple", "pear"],
        "reason_names": [],
        "not_for": "Not for eating.",
        "synthetic": True,
        "headline": None,
    }


def test_the_headline_is_the_first_metric_with_its_interval_and_rows() -> None:
    interval = {"value": 0.9, "low": 0.8, "high": 0.95, "confidence": 0.95, "method": "bootstrap by unit"}
    metrics = {"auroc": interval, "brier": {**interval, "value": 0.1}}
    document = {"data": {"n": 24, "n_units": 12}, "metrics": metrics}
    assert SHOWN.to_json(document)["headline"] == {
        "metric": "auroc",
        "value": 0.9,
        "low": 0.8,
        "high": 0.95,
        "n": 24,
    }
