"""What ``evaluate --require`` reads, finds in a metrics.json, and does where it is not met."""

import argparse
import json
import pathlib
import types
from typing import Any

import pytest

from shared import errors, verbs
from shared.report import requirements
from tests.shared import test_verbs

told = test_verbs.told
OWN = ("--run-dir", "run", "--skip-bad", "--output-dir", "out")


def interval(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "confidence": 0.95, "method": "Wilson"}


DOCUMENT: dict[str, Any] = {
    "app": "toy",
    "data": {"n": 40},
    "baselines": {"majority": {"accuracy": interval(0.5, 0.4, 0.6)}},
    "metrics": {"accuracy": interval(0.9, 0.85, 0.95), "f1_macro": interval(0.8, 0.7, 0.9)},
    "slices": [{"name": "length=at most 2.5 words", "n": 30, "metrics": {"accuracy": interval(0.7, 0.6, 0.8)}}],
    "operating_points": [
        {"name": "rule-in (specificity>=0.95)", "threshold": 0.2, "accuracy": interval(0.6, 0.5, 0.7)}
    ],
    "per_class": [{"class": "positive", "precision": interval(0.88, 0.8, 0.9)}],
    "confusion": {"counts": [[1, 2], [3, 4]]},
    "notes": ["auroc: expected rows of every class. Received: one"],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("accuracy>=0.9", ("accuracy", ">=", 0.9)),
        (" accuracy.low > 1e-3 ", ("accuracy.low", ">", 0.001)),
        ("log_loss<.5", ("log_loss", "<", 0.5)),
        ("difference<=-0.5", ("difference", "<=", -0.5)),
        ("slices.sex=F.auroc>=0.9", ("slices.sex=F.auroc", ">=", 0.9)),
        (
            "operating_points.rule-in (specificity>=0.95).accuracy>0.5",
            ("operating_points.rule-in (specificity>=0.95).accuracy", ">", 0.5),
        ),
    ],
)
def test_a_requirement_is_a_name_a_comparison_and_a_number(text: str, found: tuple[str, str, float]) -> None:
    read = requirements.parse(text)
    assert (read.name, read.comparison, read.bound) == found
    assert requirements.parse(str(read)) == read


@pytest.mark.parametrize(
    "text",
    ["", "accuracy", "accuracy>=", ">=0.9", "accuracy=0.9", "accuracy==0.9", "accuracy>=high", "a>=nan", "a>inf"],
)
def test_what_is_no_requirement_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"such as accuracy>=0\.9"):
        requirements.parse(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy", 0.9),
        ("accuracy.low", 0.85),
        ("metrics.f1_macro.high", 0.9),
        ("baselines.majority.accuracy", 0.5),
        ("slices.length=at most 2.5 words.accuracy", 0.7),
        ("slices.length=at most 2.5 words.metrics.accuracy.low", 0.6),
        ("operating_points.rule-in (specificity>=0.95).threshold", 0.2),
        ("per_class.positive.precision", 0.88),
        ("confusion.counts.1.0", 3),
        ("data.n", 40),
    ],
)
def test_every_number_of_the_file_has_a_name(name: str, value: float) -> None:
    assert requirements.numbers(DOCUMENT)[name] == value
    wanted = requirements.parse(f"{name}>={value}")
    assert requirements.check([wanted], DOCUMENT)[0].met
    assert not requirements.check([requirements.parse(f"{name}>{value}")], DOCUMENT)[0].met


def test_an_unknown_name_is_answered_with_near_ones_and_with_the_note_that_says_why() -> None:
    with pytest.raises(errors.InputError, match="such as accuracy, ") as caught:
        requirements.check([requirements.parse("acuracy>=0.9")], DOCUMENT)
    assert "metrics.accuracy" not in str(caught.value)
    with pytest.raises(errors.InputError, match="expected rows of every class"):
        requirements.check([requirements.parse("auroc.low>=0.9")], DOCUMENT)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the toy's evaluation have the numbers above."""
    found = types.SimpleNamespace(metrics=DOCUMENT)

    def evaluation(*_given: Any, output: pathlib.Path, **_more: Any) -> Any:
        output.mkdir(parents=True, exist_ok=True)
        (output / "report.html").write_text("written")
        return found

    monkeypatch.setattr(test_verbs, "evaluation", evaluation)


@pytest.mark.usefixtures("evaluated")
def test_evaluate_exits_3_where_a_requirement_is_not_met_and_writes_everything(
    told: Any, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = told("evaluate", *OWN, "--require", "accuracy>=0.9", "--require", "accuracy.low>0.8")
    assert [each["met"] for each in held["requirements"]] == [True, True]
    words = ["evaluate", *OWN, "--json", "--quiet", "--require", "accuracy>=0.9", "--require", "accuracy.low>=0.88"]
    assert verbs.main(test_verbs.app(), [*words, "--require", "f1_macro<0.5"]) == 3
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "requirement not met: accuracy.low>=0.88. Received: 0.85",
        "requirement not met: f1_macro<0.5. Received: 0.8",
    ]
    result = json.loads(said.out)
    assert [each["met"] for each in result["requirements"]] == [True, False, False]
    assert result["metrics"]["accuracy"]["value"] == 0.9
    assert (tmp_path / "out" / "report.html").read_text() == "written"


@pytest.mark.usefixtures("evaluated")
def test_an_unknown_name_exits_2_after_the_work_and_a_malformed_one_before_it(
    told: Any, tmp_path: pathlib.Path
) -> None:
    assert "everything is written" in told("evaluate", *OWN, "--require", "accurcy>=0.9", code=2)
    assert (tmp_path / "out" / "report.html").exists()
    with pytest.raises(SystemExit) as caught:
        verbs.main(test_verbs.app(), ["evaluate", "--require", "accuracy=>0.9", "--run-dir", "none"])
    assert caught.value.code == 2
    told("evaluate", *OWN)
