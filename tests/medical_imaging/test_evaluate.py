"""The evaluation of models whose errors, shortcuts and gaps are planted."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sklearn_metrics

from apps.medical_imaging import (
    decision,
    evaluate,
    evaluate_binary,
    evaluate_multi_label,
    evaluation_inputs,
    report,
    report_failures,
    subgroups,
)
from shared import errors
from shared.evaluation import intervals
from shared.report import blocks, document, sections, statuses
from tests.medical_imaging import planted


def evaluated(
    rows: evaluation_inputs.Rows, run: evaluation_inputs.Predictions, data: sections.Data = planted.DATA, **more: Any
) -> document.Evaluation:
    scores = more.pop("baseline_scores", None) or planted.baselines(rows)
    compute = evaluate_multi_label.evaluate if rows.task == "multi_label" else evaluate.evaluate
    return report.evaluation(compute(rows, data, run, baseline_scores=scores, resamples=200, seed=1), **more)


@pytest.fixture(scope="module")
def rows() -> evaluation_inputs.Rows:
    return planted.binary_rows(400)


@pytest.fixture(scope="module")
def binary(rows: evaluation_inputs.Rows) -> document.Evaluation:
    return evaluated(rows, planted.binary_run(rows))


def numbers_without_interval(content: Any, path: str = "") -> list[str]:
    """Paths of mappings that hold a ``value`` and no ``low`` and ``high``."""
    if isinstance(content, Mapping):
        own = [path] if "value" in content and not {"low", "high", "confidence", "method"} <= set(content) else []
        return own + [p for key, value in content.items() for p in numbers_without_interval(value, f"{path}.{key}")]
    if isinstance(content, list):
        return [p for place, value in enumerate(content) for p in numbers_without_interval(value, f"{path}[{place}]")]
    return []


def test_the_document_has_the_contracts_keys_and_scikit_learns_numbers(
    rows: evaluation_inputs.Rows, binary: document.Evaluation
) -> None:
    content = binary.metrics
    truth, score = rows.labels.argmax(axis=1), binary.predictions["score_pneumonia"]
    assert next(iter(content["metrics"])) == "auroc"
    assert content["metrics"]["auroc"]["value"] == pytest.approx(sklearn_metrics.roc_auc_score(truth, score))
    expected = sklearn_metrics.average_precision_score(truth, score)
    assert content["metrics"]["average_precision"]["value"] == pytest.approx(expected)
    assert content["metrics"]["brier"]["value"] == pytest.approx(sklearn_metrics.brier_score_loss(truth, score))
    assert content["data"]["n_units"] == 200
    assert numbers_without_interval(content) == []
    json.dumps(content, allow_nan=False)


def test_every_rate_is_counted_at_the_frozen_threshold_and_not_at_one_half(rows: evaluation_inputs.Rows) -> None:
    run = planted.binary_run(rows)
    run = dataclasses.replace(run, decision=planted.rule(threshold=0.9), operating_points=())
    found = evaluated(rows, run)
    called = found.predictions["score_pneumonia"] >= 0.9
    positive = rows.labels[:, 1] == 1
    point = found.metrics["operating_points"][0]
    assert point["sensitivity"]["value"] == pytest.approx(called[positive].mean())
    assert point["precision"]["value"] == pytest.approx(positive[called].mean())
    assert found.metrics["metrics"]["sensitivity"]["value"] == pytest.approx(called[positive].mean())
    assert found.metrics["metrics"]["accuracy"]["value"] == pytest.approx((called == positive).mean())
    assert (point["tp"], point["fn"]) == ((called & positive).sum(), (~called & positive).sum())


def test_declared_operating_points_are_named_for_their_purpose(binary: document.Evaluation) -> None:
    names = [point["name"] for point in binary.metrics["operating_points"]]
    assert names == [
        "decision",
        "rule-out (sensitivity>=0.95)",
        "rule-in (specificity>=0.95)",
        "abstain when unsure",
    ]


def test_predictive_values_at_a_prevalence_equal_counts_in_an_imagined_population() -> None:
    sensitivity, specificity = intervals.Interval(0.9, 0.8, 0.95), intervals.Interval(0.8, 0.7, 0.9)
    row = evaluate_binary.at_prevalences(sensitivity, specificity, (0.1,))[0]
    # Of 1,000: 100 ill of whom 90 found, 900 well of whom 180 called ill.
    assert row["precision"].value == pytest.approx(90 / 270)
    assert row["negative_predictive_value"].value == pytest.approx(720 / 730)
    assert row["precision"].low == pytest.approx(80 / 350)
    assert evaluate_binary.at_prevalences(None, specificity) == []


def suspected(rows: evaluation_inputs.Rows, run: evaluation_inputs.Predictions) -> list[dict[str, Any]]:
    evaluator = evaluate.evaluator_of(rows, run, baselines=planted.baselines(rows), resamples=200, seed=1)
    return [row for row in subgroups.shortcuts(evaluator, rows.attributes) if row["suspected"]]


def test_a_planted_shortcut_is_suspected_and_an_innocent_mark_is_not(rows: evaluation_inputs.Rows) -> None:
    (row,) = suspected(rows, planted.binary_run(rows, mark=2.0))
    assert row["name"] == "device_mark=yes"
    assert row["conflicting"].value < row["agreeing"].value
    assert suspected(rows, planted.binary_run(rows)) == []


def test_a_mark_that_gives_the_label_away_cannot_be_told_from_the_finding(rows: evaluation_inputs.Rows) -> None:
    positive = rows.labels[:, 1] == 1
    mark = positive.copy()
    mark[np.flatnonzero(positive)[:3]], mark[np.flatnonzero(~positive)[:3]] = False, True
    given_away = dataclasses.replace(rows, attributes=rows.attributes.assign(device_mark=mark))
    run = planted.binary_run(given_away)
    evaluator = evaluate.evaluator_of(given_away, run, baselines=planted.baselines(given_away), resamples=200, seed=1)
    (row,) = [row for row in subgroups.shortcuts(evaluator, given_away.attributes) if row["untold"]]
    assert row["name"] == "device_mark=yes"
    assert row["prevalence_with"].value == pytest.approx((positive.sum() - 3) / positive.sum())
    assert row["conflicting"] is None
    found = evaluated(given_away, run)
    assert "gives the label away" in found.report.answer


def test_a_kind_of_illness_is_judged_against_all_negatives_and_a_small_site_is_too_few(
    rows: evaluation_inputs.Rows, binary: document.Evaluation
) -> None:
    slices = {row["name"]: row for row in binary.metrics["slices"]}
    virus = slices["subtype=virus, with all negatives"]
    positive, kind = rows.labels[:, 1] == 1, rows.attributes["subtype"].to_numpy(object)
    assert virus["n"] == (~positive).sum() + (kind == "virus").sum()
    assert "auroc" in virus["metrics"]
    assert slices["site=C"]["metrics"] == {}
    assert slices["site=C"]["notes"][0].startswith("too few")


def test_age_bands_part_the_known_ages_and_hold_their_lower_edge() -> None:
    table = pd.DataFrame({"age": [17.9, 18.0, 39.0, 40.0, 75.0, np.nan]})
    masks = subgroups.kinds(table)["age"]
    assert np.sum(list(masks.values()), axis=0).tolist() == [1, 1, 1, 1, 1, 0]
    assert masks["18 to 39 years"].tolist() == [False, True, True, False, False, False]


def test_numbers_of_many_values_are_cut_into_thirds_and_flags_read_yes_and_no() -> None:
    table = pd.DataFrame({"subtlety": np.linspace(0, 1, 30), "mark": [True, False] * 15})
    found = subgroups.kinds(table)
    assert [mask.sum() for mask in found["subtlety"].values()] == [10, 10, 10]
    assert list(found["mark"]) == ["no", "yes"]


def test_stability_shows_the_thresholds_interval_and_what_other_rules_would_have_done(
    binary: document.Evaluation,
) -> None:
    content = binary.metrics["threshold_stability"]
    assert content["interval"]["low"] <= content["threshold"] <= content["interval"]["high"]
    assert content["accuracy_range"]["lowest"] <= content["accuracy"] <= content["hindsight"]
    assert content["rules"][0]["rule"] == "equal_margin"
    unmoved = next(row for row in content["sweep"] if row["shift_logits"] == 0)
    assert unmoved["accuracy"]["value"] == pytest.approx(content["accuracy"])


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (0.01, 0.03, statuses.BETTER),
        (-0.01, 0.03, statuses.NOT_SHOWN),
        (-0.03, 0.01, statuses.USE_BASELINE),
        (-0.03, -0.01, statuses.WORSE),
    ],
)
def test_the_first_line_says_plainly_how_the_model_compares(low: float, high: float, state: str) -> None:
    area = {"auroc": intervals.Interval(0.9, 0.8, 0.95)}
    difference = {"pixel_logistic": {"auroc": intervals.Interval((low + high) / 2, low, high)}}
    found = report_failures.status_of(difference, {"pixel_logistic": area}, area)
    assert found.state == state
    assert "Logistic regression on pixels" in found.sentence


def test_simulated_images_are_called_simulated_everywhere(rows: evaluation_inputs.Rows) -> None:
    data = dataclasses.replace(planted.DATA, synthetic=True)
    found = evaluated(rows, planted.binary_run(rows, full=False), data)
    assert found.metrics["data"]["synthetic"] is True
    assert "SIMULATED" in found.report.answer
    assert evaluate.NOT_A_DEVICE in found.report.answer
    assert "SIMULATED" in found.report.subtitle
    assert any("simulated" in note for note in found.metrics["notes"])


def full_run(rows: evaluation_inputs.Rows) -> evaluation_inputs.Predictions:
    worse = [planted.binary_logits(rows, margin=margin)[:200] for margin in (1.5, 0.5)]
    return dataclasses.replace(
        planted.binary_run(rows, mark=2.0),
        corrupted=evaluation_inputs.Corrupted(rows=np.arange(200), logits={"noise": worse}),
        explained=[
            evaluation_inputs.ExplanationCheck(
                method="Grad-CAM", images=10, randomised={"logits": 0.1}, pointing=intervals.wilson(7, 10), chance=0.1
            )
        ],
        details={"Parameters": 1000},
        history=pd.DataFrame({"epoch": [1, 2], "loss": [0.7, 0.5], "validation_metric": [0.6, 0.8]}),
    )


def test_the_page_is_complete_and_escapes_names(rows: evaluation_inputs.Rows, tmp_path: pathlib.Path) -> None:
    wrong = rows.names.copy()
    wrong[:] = "<script>alert(1)</script>"
    certificate = {
        "method": "random",
        "left_out_rows": 2,
        "counts": {"train": {"rows": 900, "units": 450, "classes": {"normal": 500, "pneumonia": 400}}},
    }
    data = dataclasses.replace(planted.DATA, certificate=certificate, quarantined=3, notes=("Two images set aside.",))
    extra = report.cross_validation_section(report.summarize_folds([{"auroc": 0.9}, {"auroc": 0.92}]))
    found = evaluated(dataclasses.replace(rows, names=wrong), full_run(rows), data, extra_sections=[extra])
    document.write(found.report, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert all(section.title in page for section in found.report.sections)
    titles = [section.title for section in found.report.sections]
    assert {"On worse images", "Can its explanations be trusted?", "Cross-validation by patient"} <= set(titles)
    assert "data:image/png;base64," in page
    assert not re.search(r'(?:src|href)="https?:', page)
    levels = [row["metrics"]["auroc"]["value"] for row in found.metrics["robustness"]]
    assert levels[1] > levels[2]
    assert "learned a shortcut" in found.report.answer


def test_the_gallery_shows_the_surest_errors_of_each_kind_first(binary: document.Evaluation) -> None:
    section = next(section for section in binary.report.sections if section.title.startswith("Its most confident"))
    table = binary.predictions
    wrong = table[(table.label == "normal") & (table.predicted == "pneumonia")]
    alarms: Any = section.blocks[-1]
    assert alarms.caption.startswith("False alarms")
    shown = [picture.facts["Image"] for picture in alarms.pictures]
    assert shown == wrong.sort_values("score_pneumonia", ascending=False).image.tolist()[: len(shown)]


def test_the_gallery_shows_maps_of_the_very_errors_and_of_no_more_than_its_limit(
    rows: evaluation_inputs.Rows,
) -> None:
    asked: list[list[int]] = []

    def with_heat(chosen: Sequence[int]) -> list[str]:
        asked.append(list(chosen))
        return [f"data:image/jpeg;base64,{row:04d}" for row in chosen]

    found = evaluated(dataclasses.replace(rows, with_heat=with_heat), planted.binary_run(rows, full=False))
    section = next(section for section in found.report.sections if section.title.startswith("Its most confident"))
    assert len(asked) == len(section.blocks)
    for block, chosen in zip(section.blocks, asked, strict=True):
        assert isinstance(block, blocks.Pictures)
        assert block.wide
        assert len(chosen) <= report_failures.MOST_ERRORS
        assert [picture.source[-4:] for picture in block.pictures] == [f"{row:04d}" for row in chosen]
        assert [picture.facts["Image"] for picture in block.pictures] == [rows.names[row] for row in chosen]


def test_maps_that_fail_their_check_are_not_shown_and_the_page_says_why(rows: evaluation_inputs.Rows) -> None:
    failed = evaluation_inputs.ExplanationCheck(method="m", images=4, randomised={"all weights": 0.9}, passed=False)
    run = dataclasses.replace(planted.binary_run(rows, full=False), explained=[failed])
    section = next(each for each in evaluated(rows, run).report.sections if each.title.startswith("Its most"))
    assert "No maps beside them" in section.lead


def test_without_pictures_the_gallery_is_a_table(rows: evaluation_inputs.Rows) -> None:
    found = evaluated(dataclasses.replace(rows, thumbnail=None), planted.binary_run(rows, full=False))
    section = next(section for section in found.report.sections if section.title.startswith("Its most confident"))
    assert {block.kind for block in section.blocks} == {"table"}


def test_a_perfect_model_gets_intervals_below_one_and_no_calibration_slope(rows: evaluation_inputs.Rows) -> None:
    run = dataclasses.replace(planted.binary_run(rows, full=False), logits=(rows.labels - 0.5) * 8)
    found = evaluated(rows, dataclasses.replace(run, decision=planted.rule(), operating_points=()))
    for name in ("accuracy", "sensitivity", "specificity"):
        assert found.metrics["metrics"][name]["value"] == 1
        assert found.metrics["metrics"][name]["low"] < 1
    assert found.metrics["calibration"]["slope"] is None
    assert "made no errors" in document.render(found.report)


def test_one_class_only_gives_a_report_with_notes_and_no_failure(
    rows: evaluation_inputs.Rows, tmp_path: pathlib.Path
) -> None:
    few = planted.rows_of(planted.one_hot(np.ones(40, np.int64), 2))
    run = dataclasses.replace(planted.binary_run(rows), logits=planted.binary_logits(few))
    found = evaluated(few, run)
    document.write(found.report, tmp_path)
    assert "auroc" not in found.metrics["metrics"]
    assert any("auroc" in note for note in found.metrics["notes"])
    assert any("images were evaluated" in note for note in found.metrics["notes"])
    # Accuracy on one class says how often that class is predicted: no recommendation may come of it.
    assert found.report.status is not None
    assert found.report.status.state == statuses.UNKNOWN


def test_one_score_for_all_images_gives_a_report_that_says_so(
    rows: evaluation_inputs.Rows, tmp_path: pathlib.Path
) -> None:
    run = dataclasses.replace(planted.binary_run(rows, full=False), logits=np.zeros((len(rows), 2)))
    found = evaluated(rows, run)
    document.write(found.report, tmp_path)
    assert "gives every image the same score, so that it separates nothing" in found.report.answer
    assert found.metrics["metrics"]["auroc"]["value"] == 0.5


def test_one_patient_a_missing_label_or_no_baseline_is_refused(rows: evaluation_inputs.Rows) -> None:
    run = planted.binary_run(rows, full=False)
    alone = dataclasses.replace(rows, patients=np.full(len(rows), "p", object))
    with pytest.raises(errors.InputError, match="at least two patients"):
        evaluated(alone, run)
    labels = rows.labels.copy()
    labels[4] = np.nan
    with pytest.raises(errors.InputError, match="image_4"):
        evaluated(dataclasses.replace(rows, labels=labels), run)
    with pytest.raises(ValueError, match="at least one plain baseline"):
        evaluate.evaluate(rows, planted.DATA, run, baseline_scores={})
    with pytest.raises(ValueError, match="expected a decision"):
        evaluated(rows, dataclasses.replace(run, decision=None))


def three_classes() -> tuple[evaluation_inputs.Rows, evaluation_inputs.Predictions]:
    labels = np.arange(300) % 3
    rows = planted.rows_of(planted.one_hot(labels, 3))
    answers = labels.copy()
    answers[:30] = (labels[:30] + 1) % 3
    logits = 2.0 * np.eye(3)[answers] + np.random.default_rng(0).normal(0, 0.1, (300, 3))
    run = evaluation_inputs.Predictions(
        run="run", class_names=planted.THREE, logits=logits, decision=planted.rule(planted.THREE, threshold=None)
    )
    return rows, run


def test_three_classes_have_macro_and_per_class_numbers() -> None:
    rows, run = three_classes()
    found = evaluated(rows, run, baseline_scores={"majority": np.full((300, 3), 1 / 3)})
    assert found.metrics["metrics"]["accuracy"]["value"] == pytest.approx(0.9)
    assert [row["class"] for row in found.metrics["per_class"]] == list(planted.THREE)
    areas = [row["auroc"]["value"] for row in found.metrics["per_class"]]
    assert found.metrics["metrics"]["auroc"]["value"] == pytest.approx(np.mean(areas))
    assert np.array(found.metrics["confusion"]["counts"]).trace() == 270
    document.render(found.report)


def several_findings() -> tuple[evaluation_inputs.Rows, evaluation_inputs.Predictions]:
    random = np.random.default_rng(0)
    labels = (random.random((300, 3)) < (0.5, 0.3, 0.2)).astype(np.float32)
    logits = 3.0 * labels - 1.5 + random.normal(0, 1.5, (300, 3))
    labels[random.random((300, 3)) < 0.2] = np.nan
    rows = dataclasses.replace(planted.rows_of(labels), task="multi_label")
    run = evaluation_inputs.Predictions(
        run="run",
        class_names=planted.FINDINGS,
        logits=logits,
        decision=decision.MultiLabelDecision(
            class_names=planted.FINDINGS,
            temperatures=(1.0, 2.0, 0.5),
            thresholds=(0.5, 0.4, 0.3),
            rule="max_balanced_accuracy",
            alpha=0.1,
            quantiles=(0.5, 0.5, 0.5),
            fitted_on={},
        ),
    )
    return rows, run


def test_unknown_labels_count_for_no_number_of_their_finding() -> None:
    rows, run = several_findings()
    found = evaluated(rows, run, baseline_scores={"majority": np.full((300, 3), 0.3)})
    areas = []
    for place, row in enumerate(found.metrics["per_finding"]):
        known = ~np.isnan(rows.labels[:, place])
        expected = sklearn_metrics.roc_auc_score(rows.labels[known, place], run.logits[known, place])
        assert row["metrics"]["auroc"]["value"] == pytest.approx(expected)
        assert (row["n"], row["unknown"]) == (known.sum(), (~known).sum())
        areas.append(expected)
    assert found.metrics["metrics"]["auroc"]["value"] == pytest.approx(np.mean(areas))
    assert numbers_without_interval(found.metrics) == []
    assert any("unknown" in note for note in found.metrics["notes"])


def test_each_finding_is_called_at_its_own_threshold_and_temperature(tmp_path: pathlib.Path) -> None:
    rows, run = several_findings()
    found = evaluated(rows, run, baseline_scores={"majority": np.full((300, 3), 0.3)})
    score = 1 / (1 + np.exp(-run.logits[:, 1] / 2))
    np.testing.assert_allclose(found.predictions["score_cardiomegaly"], score)
    assert (found.predictions["present_cardiomegaly"] == (score >= 0.4)).all()
    point = found.metrics["operating_points"][1]
    positive = rows.labels[:, 1] == 1
    assert point["sensitivity"]["value"] == pytest.approx((score >= 0.4)[positive].mean())
    document.write(found.report, tmp_path)


def test_several_findings_show_robustness_and_refuse_missing_thresholds() -> None:
    rows, run = several_findings()
    corrupted = evaluation_inputs.Corrupted(rows=np.arange(100), logits={"blur": [run.logits[:100] * 0.0 + 1]})
    scores = {"majority": np.full((300, 3), 0.3)}
    found = evaluated(rows, dataclasses.replace(run, corrupted=corrupted), baseline_scores=scores)
    assert found.metrics["robustness"][1]["metrics"]["auroc"]["value"] == pytest.approx(0.5)
    assert isinstance(run.decision, decision.MultiLabelDecision)
    with pytest.raises(ValueError, match="one per finding"):
        dataclasses.replace(run.decision, thresholds=())
    with pytest.raises(ValueError, match="for several findings"):
        evaluated(rows, dataclasses.replace(run, decision=None), baseline_scores=scores)


@pytest.mark.parametrize("state", [0.0, 1.0])
def test_findings_of_one_state_get_one_sentence_and_no_comparison(state: float, tmp_path: pathlib.Path) -> None:
    """Planted: the only images have every finding, or none; a baseline that says so is no better model."""
    rows, run = several_findings()
    same = dataclasses.replace(rows, labels=np.full((300, 3), state, np.float32))
    found = evaluated(same, run, baseline_scores={"majority": np.full((300, 3), state)})
    document.write(found.report, tmp_path)
    assert "auroc" not in found.metrics["metrics"]
    sentence = "Not both present and absent among these images, so without ranking or comparison: "
    assert found.report.answer.count(sentence + "effusion, cardiomegaly, nodule.") == 1
    assert sum(sentence in note for note in found.metrics["notes"]) == 1
    assert found.report.status is not None
    assert found.report.status.state == statuses.UNKNOWN


def test_a_finding_with_one_score_for_every_image_separates_nothing_and_is_named() -> None:
    rows, run = several_findings()
    logits = run.logits.copy()
    logits[:, 1] = 0.25
    found = evaluated(
        rows, dataclasses.replace(run, logits=logits), baseline_scores={"majority": np.full((300, 3), 0.3)}
    )
    assert "the same score, so that it separates nothing: cardiomegaly." in found.report.answer
    assert found.metrics["per_finding"][1]["metrics"]["auroc"]["value"] == 0.5


def test_folds_have_the_mean_and_spread_of_a_plain_computation() -> None:
    row = report.summarize_folds([{"auroc": 0.90, "only_here": 1.0}, {"auroc": 0.94}, {"auroc": 0.95}])[0]
    assert row["mean"] == pytest.approx(0.93)
    assert row["deviation"] == pytest.approx(np.sqrt((0.03**2 + 0.01**2 + 0.02**2) / 2))
    # Student's t with two degrees of freedom at 97.5 % is 4.303.
    assert row["half_width"] == pytest.approx(4.3027 * row["deviation"] * np.sqrt(1 / 3 + 1 / 2), rel=1e-4)
    with pytest.raises(ValueError, match="at least two"):
        report.summarize_folds([{"auroc": 0.9}])


def test_one_number_has_one_interval_wherever_it_stands(binary: document.Evaluation) -> None:
    content = binary.metrics
    decided = content["operating_points"][0]
    for name in ("accuracy", "sensitivity", "specificity"):
        assert decided[name] == content["metrics"][name]
