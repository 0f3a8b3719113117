"""What JSON files may hold when they are read back: one sentence for every other value, of every rule of every app."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import TypedDict

from apps.driving_perception import decision as driving
from apps.fraud_detection import decision as fraud
from apps.fraud_detection import inputs, schema
from apps.fraud_detection.layers import Quantiles
from apps.medical_imaging import decision as medical
from apps.sentiment import dataset
from shared import decision, errors, files, splits, stored

CLASSIFIER = decision.Decision(
    class_names=("negative", "positive"),
    temperature=1.2,
    threshold=0.4,
    rule="youden",
    alpha=0.1,
    quantile=0.7,
    fitted_on={"n": 3, "files": ["a", "b"]},
)
SEVERAL = medical.MultiLabelDecision(
    class_names=("Edema", "Mass"),
    temperatures=(1.0, 2),
    thresholds=(0.5, 0.25),
    rule="f1",
    alpha=0.1,
    quantiles=(0.5, 1),
    fitted_on={},
)
FRAUD = fraud.DecisionRule(
    threshold=0.5, rule="cost", alerts_per_day=3, investigation_cost=5, recovered_share=0.8, fitted_on={}
)
DRIVING = driving.DecisionRule(
    class_names=("car",),
    threshold=0.3,
    rule="max_f1",
    fppi_budget=0.1,
    recall=1,
    precision=0,
    false_positives_per_image=2.5,
    fitted_on={},
)
RULES = [CLASSIFIER, SEVERAL, FRAUD, DRIVING]
WRONG_NUMBERS: tuple[Any, ...] = (float("nan"), float("inf"), -3, "1", None, True, [], 10**400)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__ + rule.rule)
def test_a_rule_that_was_written_reads_as_the_same(rule: Any) -> None:
    assert type(rule).from_json(json.loads(json.dumps(rule.to_json()))) == rule


def changed(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield where, and the content with one number replaced by one that no rule has."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name != "fitted_on":
                yield from ((f"{name}.{at}", {**content, name: new}) for at, new in changed(value))
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from ((at, [*content[:place], new, *content[place + 1 :]]) for at, new in changed(value))
    elif isinstance(content, float | int):
        yield from ((repr(wrong)[:9], wrong) for wrong in WRONG_NUMBERS)
    else:
        yield from ((repr(wrong)[:9], wrong) for wrong in (3, ["a"], {"b": 1}))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__ + rule.rule)
def test_every_wrong_value_of_a_rule_is_an_error_that_names_file_and_field(rule: Any) -> None:
    tried = 0
    for where, content in changed(json.loads(json.dumps(rule.to_json()))):
        if where == "threshold.None" and rule is CLASSIFIER:
            continue
        with pytest.raises(errors.InputError, match=rf"run/decision\.json: {where.split('.')[0]}.*expected.*Received"):
            type(rule).from_json(content, where="run/decision.json")
        tried += 1
    assert tried > 20


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__ + rule.rule)
def test_names_come_once_and_are_not_empty(rule: Any) -> None:
    for names in (["a", "a"], [""], [], "ab", {"a": 1}):
        with pytest.raises(errors.InputError, match="class_names"):
            type(rule).from_json({**rule.to_json(), "class_names": names})


@pytest.mark.parametrize("threshold", [2, -3, 1.01])
def test_a_threshold_is_a_score(threshold: float) -> None:
    for rule in (CLASSIFIER, FRAUD, DRIVING):
        with pytest.raises(errors.InputError, match="threshold: expected"):
            type(rule).from_json({**rule.to_json(), "threshold": threshold})


def test_a_number_for_each_finding() -> None:
    with pytest.raises(errors.InputError, match="one per finding"):
        medical.from_json({**SEVERAL.to_json(), "thresholds": [0.5]}, where="decision.json")


def test_what_a_label_means_is_read_strictly() -> None:
    code = dataset.Code(names={"0": "negative"}, kinds=("digit",), note="n")
    assert dataset.Code.from_json(json.loads(json.dumps(code.to_json()))) == code
    for field, wrong in (("names", []), ("names", {"0": 1}), ("ordinal", "yes"), ("kinds", "ab"), ("note", None)):
        with pytest.raises(errors.InputError, match=rf"labels\.json: {field}"):
            dataset.Code.from_json({**code.to_json(), field: wrong}, where="labels.json")


def test_quantiles_and_inputs_are_read_strictly() -> None:
    found = Quantiles(values=((1.0, 2.0),), levels=((0.5, 1.0),), discrete=(True,), typical=(0.0,))
    assert Quantiles.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(errors.InputError, match=r"levels\.0\.1: expected less than or equal to 1"):
        Quantiles.from_json({**found.to_json(), "levels": [[0.5, 3.0]]})
    columns = inputs.Inputs(
        schema=schema.Schema(time="t", amount="a"),
        calendar=True,
        numbers=(inputs.AMOUNT,),
        vocabularies={"shop": ("x", "y")},
        typical=(float("nan"),),
        frauds=3,
        sequence_length=0,
    )
    content = json.loads(json.dumps(columns.to_json()))
    assert inputs.Inputs.from_json(content).to_json() == columns.to_json()
    wrong = {
        "calendar": 1,
        "numbers": "a",
        "vocabularies": {"shop": ["x", "x"]},
        "typical": [1, 2],
        "frauds": -3,
        "sequence_length": 1.5,
        "schema": [],
    }
    for field, value in wrong.items():
        with pytest.raises(errors.InputError, match=rf"inputs\.json: {field}"):
            inputs.Inputs.from_json({**content, field: value})
        with pytest.raises(errors.InputError, match=field):
            inputs.Inputs.from_json({name: each for name, each in content.items() if name != field})


def test_a_certificate_keeps_what_it_says_besides_and_names_without_utf_8(tmp_path: pathlib.Path) -> None:
    content = {
        "unit": "patient",
        "method": "m",
        "rows": 3,
        "fractions": {"train": 1.0},
        "overlap": {"units_in_two_parts": 0},
        "sha256": dict.fromkeys(splits.PARTS, "0" * 64),
        "checks": {"notes": ["d/\udcff"]},
        "more": [1],
    }
    path = tmp_path / "split.json"
    files.write_json(path, content)
    assert splits.read_certificate(path) == content
    for field, wrong in (("sha256", {"train": "0" * 64}), ("sha256", {"train": "x"}), ("rows", -3), ("checks", 3)):
        files.write_json(path, {**content, field: wrong})
        with pytest.raises(errors.InputError, match=rf"split\.json: {field}"):
            splits.read_certificate(path)


def test_nothing_is_converted_and_a_missing_or_unknown_field_is_named() -> None:
    @stored.open_fields
    class Shape(TypedDict):
        rows: stored.Count

    assert stored.check(Shape, {"rows": 3, "more": "m"}, where="f") == {"rows": 3, "more": "m"}
    for wrong, said in ((True, "integer"), (3.0, "integer"), ("3", "integer"), (-1, "greater"), (1 << 64, "less")):
        with pytest.raises(errors.InputError, match=rf"^f: rows: expected .*{said}.* Received: {wrong!r}"):
            stored.check(Shape, {"rows": wrong}, where="f")
    with pytest.raises(errors.InputError, match=r"^f: rows: expected this field\. Received: none of this name"):
        stored.check(Shape, {}, where="f")
