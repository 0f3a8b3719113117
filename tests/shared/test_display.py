"""What a page is told of a model."""

import pathlib

import pytest

from shared import errors, files
from shared.serving import display

SHOWN = display.Display(
    title="Kinds of fruit",
    input="image",
    threshold=0.4,
    threshold_rule="max_f1",
    class_names=("apple", "pear"),
    not_for="Not for eating.",
    synthetic=True,
)


def test_everything_a_page_needs_is_there_and_is_json(tmp_path: pathlib.Path) -> None:
    files.write_json(tmp_path / display.FILE, SHOWN.to_json(tmp_path / "metrics.json"))
    assert files.read_json(tmp_path / display.FILE) == {
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


def test_the_headline_is_the_first_metric_with_its_interval_and_rows(tmp_path: pathlib.Path) -> None:
    interval = {"value": 0.9, "low": 0.8, "high": 0.95, "confidence": 0.95, "method": "bootstrap by unit"}
    metrics = {"auroc": interval, "brier": {**interval, "value": 0.1}}
    files.write_json(tmp_path / "metrics.json", {"data": {"n": 24, "n_units": 12}, "metrics": metrics})
    assert SHOWN.to_json(tmp_path / "metrics.json")["headline"] == {
        "metric": "auroc",
        "value": 0.9,
        "low": 0.8,
        "high": 0.95,
        "n": 24,
    }


def test_metrics_that_cannot_be_read_are_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(errors.InputError, match=r"metrics\.json: expected valid JSON"):
        display.headline(tmp_path / "metrics.json")
