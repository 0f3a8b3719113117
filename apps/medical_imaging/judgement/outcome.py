"""From evidence to all that ``evaluate`` puts together, with one answer per image. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from apps.medical_imaging.judgement import answer, checks, evidence, gallery, points_section, sections, single, tabulate
from apps.medical_imaging.judgement import judge as judges
from shared.evaluation import intervals
from shared.report import blocks, document


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was found, for any task.

    Attributes:
        metrics: The model's metrics, the headline first.
        baselines: The same of each baseline.
        differences: Model minus baseline, paired.
        operating_points: Rows for ``metrics.json``.
        slices: Rows for ``metrics.json``.
        calibration: For ``metrics.json``.
        extra: Further keys of ``metrics.json``.
        notes: Why a number is missing.
        checked: Where the checklist's items are in the report.
        answer: The report's opening.
        tiles: Its headline numbers.
        sections: Its parts on what was found.
        predictions: One row per image.
    """

    metrics: intervals.Intervals
    baselines: Mapping[str, intervals.Intervals]
    differences: Mapping[str, intervals.Intervals]
    operating_points: Sequence[Mapping[str, Any]]
    slices: Sequence[Mapping[str, Any]]
    calibration: Mapping[str, Any]
    extra: Mapping[str, Any]
    notes: list[str]
    checked: Mapping[str, str]
    answer: str
    tiles: list[blocks.Tile]
    sections: list[document.Section]
    predictions: pd.DataFrame


def single_label(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    *,
    baseline_scores: Mapping[str, evidence.Floats],
    resamples: int,
    seed: int,
) -> Outcome:
    """Judge two or more classes of which each image has one; arguments and errors as in ``evaluate``."""
    judge = judges.appoint(rows, run, baselines=baseline_scores, resamples=resamples, seed=seed)
    findings = single.measure(judge, rows, run)
    return Outcome(
        metrics=findings.metrics,
        baselines=findings.baselines,
        differences=findings.differences,
        operating_points=[*findings.points, *_answering(findings.abstention, judge)],
        slices=findings.slices,
        calibration=findings.calibration,
        extra=_extra(findings, run),
        notes=findings.notes,
        checked=_checked(findings),
        answer=answer.sentence(findings, data, run, rows=len(rows)),
        tiles=answer.tiles(findings),
        sections=_sections(findings, rows, run, judge),
        predictions=tabulate.single_label(rows, run, judge),
    )


def _answering(content: Mapping[str, Any], judge: judges.Judge) -> list[dict[str, Any]]:
    """Return the two ways to use the model: to answer every image, or to abstain from the unsure ones."""
    everything = {"name": "answer every image", "coverage": 1.0, "accuracy": content["accuracy"]}
    unsure = {
        "name": "abstain when unsure",
        "rule": content["rule"],
        "alpha": content["alpha"],
        "quantile": content["quantile"],
        "coverage": content["coverage"],
        "accuracy": content["selective_accuracy"],
    }
    return [unsure] if judge.binary else [everything, unsure]


def _extra(findings: single.Findings, run: evidence.Run) -> dict[str, Any]:
    return {
        "per_class": findings.per_class,
        "confusion": {"classes": run.class_names, "counts": findings.confusion},
        "abstention": findings.abstention,
        "auroc_delong": findings.delong,
        "threshold_stability": findings.firmness,
        "decision_curve": findings.decision_curve,
        "shortcuts": findings.shortcuts,
        "robustness": findings.robustness,
        "explanations": explanations(run),
    }


def explanations(run: evidence.Run) -> list[dict[str, Any]]:
    """Return the checks of the explanations for ``metrics.json``."""
    # vars keeps an interval whole; asdict would make it a mapping.
    return [dict(vars(one)) for one in run.explained]


def _sections(
    findings: single.Findings, rows: evidence.Rows, run: evidence.Run, judge: judges.Judge
) -> list[document.Section]:
    found = [sections.subgroups(findings, binary=judge.binary), sections.calibration(findings, binary=judge.binary)]
    if findings.delong is not None:
        found.insert(0, sections.ranking(findings, judge))
    if judge.binary:
        found.insert(len(found) - 2, points_section.section(findings, judge))
        found.insert(len(found) - 2, checks.threshold(findings))
        found.append(sections.decision_curve(findings))
    else:
        found.insert(0, sections.classes(findings, judge.class_names))
    found.append(sections.abstention(findings, judge))
    if findings.shortcuts:
        found.append(checks.shortcuts(findings))
    if findings.robustness:
        found.append(checks.robustness(findings.robustness))
    if run.explained:
        found.append(checks.explanations(run.explained))
    return [*found, gallery.section(rows, judge)]


def _checked(findings: single.Findings) -> dict[str, str]:
    """Return where the checklist's items are."""
    thresholds = ", ".join(f"{point['name']} {point['threshold']:.3f}" for point in findings.points)
    return {
        "Thresholds fixed before the test": thresholds or "the most probable class",
        "Uncertainty of every number": "intervals by patient throughout",
        "Comparison with a baseline": "model and baselines, paired on the same resamples",
        "Calibration": "slope, intercept, Brier score, ECE, reliability with counts",
        "Clinical usefulness": "decision curve" if findings.decision_curve else "not measured",
        "Subgroups": f"{len(findings.slices)}" if findings.slices else "the data name no attributes",
        "Robustness": "corruptions" if findings.robustness else "not measured",
        "Failures": "gallery of confident errors",
    }
