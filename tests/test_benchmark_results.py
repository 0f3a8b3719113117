"""What benchmarks write down is read back, and shown with what was wanted."""

import json
import pathlib

import pytest

from benchmarks import results


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "results.json"


def test_a_row_is_the_median_of_its_repeats_and_replaces_the_earlier_one(path: pathlib.Path) -> None:
    results.record("Fraud: predict", [1.0], unit="rows/s", path=path)
    results.record("Fraud: predict", [3.0, 9.0, 4.0], unit="rows/s", goal=results.Goal(value=5), path=path)
    (row,) = results.read(path)
    assert (row["value"], row["median"], row["repeats"]) == (4.0, 4.0, [3.0, 9.0, 4.0])
    assert row["goal"] == {"value": 5, "most": False, "reached": False}
    assert {"command", "machine", "date", "peer", "ratio"} <= set(row)


def test_the_page_says_what_was_not_reached(path: pathlib.Path) -> None:
    results.record("Fraud: predict", [4.0], unit="rows/s", goal=results.Goal(value=5), path=path)
    results.record("Evaluation: report", [20.0], unit="s", goal=results.Goal(value=30, most=True), path=path)
    results.record("Evaluation: COCO", [9.0], unit="s", ratio=2.5, peer="pycocotools 2.0.11", path=path)
    page = results.page(results.read(path))
    assert "| predict | 4 rows/s | at least 5 rows/s: **not reached** |" in page
    assert "| report | 20 s | at most 30 s: reached |" in page
    assert "9 s; 2.50 times pycocotools 2.0.11" in page
    assert page.count("## Evaluation") == 1


def test_the_page_in_docs_is_the_one_of_the_results() -> None:
    assert results.PAGE.read_text("utf-8") == results.page(results.read())
    assert json.loads(results.FILE.read_text("utf-8"))
