"""From evidence to all that ``evaluate`` puts together, with several findings per image. No TensorFlow here."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from apps.medical_imaging.judgement import answer, checks, evidence, outcome, several_sections, subgroups, tabulate
from apps.medical_imaging.judgement import judge as judges
from shared.evaluation import calibration, multilabel, thresholds, weighted

METRICS: Mapping[str, weighted.Metric] = {
    name: judges.BINARY[name]
    for name in (
        "auroc",
        "average_precision",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "brier",
        "ece",
        "log_loss",
    )
}
SLICED = {name: METRICS[name] for name in ("auroc", "average_precision", "balanced_accuracy")}

ROBUST = {name: METRICS[name] for name in ("auroc", "balanced_accuracy")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """Judges all findings of a model at once.

    Attributes:
        labels: (n, k) float, NaN where unknown.
        units: (n,) int64, numbered patients.
        scores: (n, k) calibrated probabilities.
        present: (n, k) bool, what the model calls present.
        baselines: Probabilities (n, k) by name, which call present what has 0.5 or more.
        class_names: k names.
        resamples: Of every bootstrap.
        seed: Of every bootstrap.
    """

    labels: evidence.Floats
    units: evidence.Ints
    scores: evidence.Floats
    present: evidence.Bools
    baselines: Mapping[str, evidence.Floats]
    class_names: tuple[str, ...]
    resamples: int
    seed: int

    def values(
        self,
        scores: evidence.Floats,
        present: evidence.Bools,
        inside: evidence.Bools,
        metrics: Mapping[str, weighted.Metric] = METRICS,
    ) -> multilabel.Summary:
        """Return the metrics of any scores (n, k) on the rows ``inside`` (n,)."""
        return multilabel.summarize(
            self.labels[inside],
            scores[inside],
            present=present[inside],
            units=self.units[inside],
            metrics=metrics,
            resamples=self.resamples,
            seed=self.seed,
        )

    def difference(self, name: str) -> multilabel.Summary:
        """Return the paired differences model minus the named baseline."""
        theirs = self.baselines[name]
        return multilabel.compare(
            self.labels,
            (self.scores, theirs),
            present=(self.present, theirs >= 0.5),
            units=self.units,
            metrics=METRICS,
            resamples=self.resamples,
            seed=self.seed,
        )

    def slice(self, name: str, inside: evidence.Bools) -> dict[str, Any]:
        """Return one row of the subgroup table; "too few" instead of numbers where they would mean nothing."""
        n, n_units = int(inside.sum()), len(np.unique(self.units[inside]))
        row: dict[str, Any] = {"name": name, "n": n, "n_units": n_units}
        if n < judges.SMALLEST_SLICE or n_units < 2:
            return {**row, "metrics": {}, "notes": [f"too few: {n} images of {n_units} patients"]}
        found = self.values(self.scores, self.present, inside, SLICED).macro
        return {**row, "metrics": found, "notes": found.notes}


def multi_label(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    *,
    baseline_scores: Mapping[str, evidence.Floats],
    resamples: int,
    seed: int,
) -> outcome.Outcome:
    """Judge findings of which an image may have several, or unknown ones; arguments as in ``evaluate``.

    Raises:
        ValueError: Temperatures or thresholds are not one per finding, or arrays do not fit together.
    """
    panel = appoint(rows, run, baselines=baseline_scores, resamples=resamples, seed=seed)
    everything = np.ones(len(rows), np.bool_)
    found = panel.values(panel.scores, panel.present, everything)
    others = {name: panel.values(scores, scores >= 0.5, everything) for name, scores in baseline_scores.items()}
    differences = {name: panel.difference(name) for name in baseline_scores}
    slices = [panel.slice(name, inside) for name, inside in subgroups.groups(rows, None).items()]
    findings = per_finding(panel, found, differences[answer.reference(others)])
    points = operating_points(panel, run)
    reliability = reliabilities(panel)
    worse = robustness(panel, run)
    macro = {name: summary.macro for name, summary in others.items()}
    gained = {name: summary.macro for name, summary in differences.items()}
    return outcome.Outcome(
        metrics=found.macro,
        baselines=macro,
        differences=gained,
        operating_points=points,
        slices=slices,
        calibration={
            "method": "one temperature per finding, fitted on validation data",
            "temperatures": dict(zip(run.class_names, run.temperatures, strict=True)),
            "reliability": reliability,
        },
        extra={"per_finding": findings, "robustness": worse, "explanations": outcome.explanations(run)},
        notes=[*found.macro.notes, *unknown_notes(panel)],
        checked=several_sections.checked(slices),
        answer=several_sections.sentence(found.macro, findings, macro, gained, data),
        tiles=several_sections.tiles(found.macro, findings),
        sections=[
            *several_sections.sections(findings, points, slices, reliability, name=answer.reference(others)),
            *([checks.robustness(worse)] if worse else []),
            *([checks.explanations(run.explained)] if run.explained else []),
        ],
        predictions=tabulate.multi_label(rows, run.class_names, panel.scores, panel.present, baseline_scores),
    )


def appoint(
    rows: evidence.Rows,
    run: evidence.Run,
    *,
    baselines: Mapping[str, evidence.Floats],
    resamples: int,
    seed: int,
) -> Panel:
    """Apply the run's temperatures and thresholds to its logits.

    Raises:
        errors.InputError: There are no two patients to resample.
        ValueError: Temperatures or thresholds are not one per finding, or there is no baseline.
    """
    judges.demand_baselines(baselines, run.logits)
    k = len(run.class_names)
    if len(run.temperatures) != k or len(run.thresholds) != k:
        received = f"{len(run.temperatures)} and {len(run.thresholds)}"
        raise ValueError(f"run: expected {k} temperatures and thresholds, one per finding. Received: {received}")
    scores = probabilities(run.logits, run)
    return Panel(
        labels=np.asarray(rows.labels, np.float64),
        units=judges.number_units(rows),
        scores=scores,
        present=np.asarray(scores >= np.array(run.thresholds), np.bool_),
        baselines=baselines,
        class_names=run.class_names,
        resamples=resamples,
        seed=seed,
    )


def per_finding(panel: Panel, found: multilabel.Summary, difference: multilabel.Summary) -> list[dict[str, Any]]:
    """Return one row per finding: finding, n (known), n_positive, unknown, metrics and difference."""
    known = ~np.isnan(panel.labels)
    return [
        {
            "finding": name,
            "n": int(known[:, place].sum()),
            "n_positive": int(np.nansum(panel.labels[:, place])),
            "unknown": int((~known[:, place]).sum()),
            "metrics": found.findings[place],
            "difference": difference.findings[place],
            "notes": found.findings[place].notes,
        }
        for place, name in enumerate(panel.class_names)
    ]


def operating_points(panel: Panel, run: evidence.Run) -> list[dict[str, Any]]:
    """Return what each finding's frozen threshold does; none for a finding that no image is known for."""
    found = []
    for place, (name, value) in enumerate(zip(panel.class_names, run.thresholds, strict=True)):
        known = ~np.isnan(panel.labels[:, place])
        if not known.any():
            continue
        threshold = thresholds.Threshold(value, run.threshold_rule or "given", 0.0, value, value, 0, 0)
        truth = panel.labels[known, place].astype(np.int64)
        row = thresholds.operating_point(truth, panel.scores[known, place], threshold, units=panel.units[known])
        found.append({"name": name, **row})
    return found


def reliabilities(panel: Panel) -> dict[str, list[dict[str, float]]]:
    """Return the reliability bins of each finding."""
    found = {}
    for place, name in enumerate(panel.class_names):
        known = ~np.isnan(panel.labels[:, place])
        if known.any():
            truth = panel.labels[known, place].astype(np.int64)
            found[name] = calibration.reliability(truth, panel.scores[known, place], bins=10, units=panel.units[known])
    return found


def robustness(panel: Panel, run: evidence.Run) -> list[dict[str, Any]]:
    """Return rows with corruption, level (0: the same images untouched), n and mean metrics."""
    if run.corrupted is None:
        return []
    rows = run.corrupted.rows
    part = dataclasses.replace(panel, labels=panel.labels[rows], units=panel.units[rows])
    everything = np.ones(len(rows), np.bool_)
    found = []
    for kind, levels in run.corrupted.logits.items():
        for level, logits in enumerate([run.logits[rows], *levels]):
            scores = probabilities(logits, run)
            present = np.asarray(scores >= np.array(run.thresholds), np.bool_)
            metrics = part.values(scores, present, everything, ROBUST).macro
            found.append({"corruption": kind, "level": level, "n": len(rows), "metrics": metrics})
    return found


def probabilities(logits: evidence.Logits, run: evidence.Run) -> evidence.Floats:
    """Return (n, k) calibrated probabilities."""
    return np.asarray(special.expit(np.asarray(logits, np.float64) / np.array(run.temperatures)), np.float64)


def unknown_notes(panel: Panel) -> list[str]:
    """Say how many labels were unknown and left out."""
    unknown = int(np.isnan(panel.labels).sum())
    if not unknown:
        return []
    return [f"{unknown:,} of {panel.labels.size:,} labels are unknown: each counts for no number of its finding."]
