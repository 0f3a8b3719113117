"""Judge a run on labelled transactions: metrics, report and predictions from what the model and others said.

The straight line is ``evaluate``: appoint a judge, measure, write the document, the report and the table. No
TensorFlow here.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.fraud_detection.judgement import answer, evidence, names, provenance, results, sections
from apps.fraud_detection.judgement import judge as judges
from apps.fraud_detection.transactions import CLASS_NAMES
from shared.report import document, metrics

APP = "fraud_detection"
FEW_FRAUDS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation's results.

    Attributes:
        metrics: Content of ``metrics.json``.
        report: The page; ``shared.report.document.write`` writes both.
        predictions: One row per transaction: id, fold, day, amount, payer, label, weight, score, threshold, decision,
            the scenario and group where they are known, and ``<baseline>_score``.
    """

    metrics: dict[str, Any]
    report: document.Report
    predictions: pd.DataFrame


def evaluate(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    *,
    baseline_scores: Mapping[str, evidence.Floats],
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Judge ``run`` on ``rows``.

    Args:
        rows: The transactions and their labels.
        data: What they are.
        run: What the model says about them.
        baseline_scores: Scores (n,) by name, at least one, from ``baselines.fit`` on the run's own training parts.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        ValueError: There is no baseline, or the rows hold one card only, or one class only.
    """
    judge = judges.appoint(rows, run.costs, resamples=resamples, seed=seed)
    findings = results.measure(judge, run, baseline_scores)
    content = _document(rows, data, run, findings)
    return Evaluation(
        metrics=content,
        report=_report(rows, data, run, findings, baseline_scores, content),
        predictions=_predictions(rows, run, baseline_scores),
    )


def _document(
    rows: evidence.Rows, data: evidence.Data, run: evidence.Run, findings: results.Findings
) -> dict[str, Any]:
    content = metrics.metrics_document(
        app=APP,
        run=run.name,
        data={
            "source": data.source,
            "split": data.split,
            "n": len(rows),
            "unit": data.unit,
            "n_units": len(np.unique(rows.payers)),
            "sha256": data.sha256,
        },
        metrics=findings.metrics,
        baselines=findings.baselines,
        differences=findings.differences,
        operating_points=results.operating_points(findings, run),
        slices=findings.slices,
        calibration=findings.calibration,
        notes=_notes(rows, data, findings),
    )
    more = {
        "prevalence": findings.prevalence,
        "prequential": _prequential(findings),
        "by_day": findings.by_day,
        "budgets": findings.budgets,
        "savings": findings.savings,
        "drift": findings.drift,
        "predictive_equality": findings.equality,
        "members": findings.members,
        **{name: _compared(found) for name, found in findings.compared.items()},
        "memorisation": dict(run.memorisation),
    }
    return content | {name: metrics.plain(value, where=name) for name, value in more.items()}


def _prequential(findings: results.Findings) -> dict[str, Any]:
    """Return each fold's headline metrics, and their mean and standard deviation over the folds."""
    who = [name for name in findings.folds[0] if name != "fold"]
    summary = {
        name: {
            metric: {"mean": found[0], "sd": found[1]}
            for metric in names.HEADLINE
            if (found := results.mean_and_deviation(findings.folds, name, metric)) is not None
        }
        for name in who
    }
    return {"folds": findings.folds, "summary": summary}


def _compared(found: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {name: {"metrics": dict(own), "differences": dict(less)} for name, (own, less) in found.items()}


def _notes(rows: evidence.Rows, data: evidence.Data, findings: results.Findings) -> list[str]:
    notes = [*data.notes, *findings.notes]
    frauds = int(rows.labels.sum())
    if frauds < FEW_FRAUDS:
        notes.append(f"Only {frauds} frauds were judged: most differences cannot show on so few.")
    if not rows.has_payer:
        notes.append("The data name no cards: transactions are resampled one by one, and nothing is counted by card.")
    if not np.allclose(rows.weights, 1.0):
        notes.append("Rows are weighted by how many transactions of the population they stand for.")
    return [*notes, "These numbers hold for fraud like that of these weeks: fraudsters change what they do."]


def _report(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    findings: results.Findings,
    baseline_scores: Mapping[str, evidence.Floats],
    content: Mapping[str, Any],
) -> document.Report:
    return document.Report(
        title="Card fraud",
        subtitle=f"Run {run.name} on {data.source}, part {data.split}: {len(rows):,} transactions, "
        f"{int(rows.labels.sum()):,} frauds",
        answer=answer.sentence(findings, data, run),
        headline=answer.tiles(findings),
        metrics=content,
        labels=names.LABELS,
        sections=[
            sections.folds(findings),
            sections.budget(findings, run),
            sections.ranking(rows, run, baseline_scores),
            sections.money(findings, data),
            sections.where(findings),
            sections.calibration(findings),
            sections.stability(findings),
            *sections.fairness(findings),
            *sections.compared(findings, run),
            provenance.training(findings, run.history),
            provenance.origin(data, rows),
        ],
    )


def _predictions(
    rows: evidence.Rows, run: evidence.Run, baseline_scores: Mapping[str, evidence.Floats]
) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "id": rows.ids,
        "fold": rows.folds + 1,
        "day": [rows.day_names[int(day)] for day in rows.days],
        "amount": rows.amounts,
        "payer": rows.payers,
        "label": np.array(CLASS_NAMES, object)[rows.labels],
        "weight": rows.weights,
        "score": run.scores,
        "threshold": run.thresholds,
        "decision": np.array(CLASS_NAMES, object)[(run.scores >= run.thresholds).astype(int)],
    }
    for name, values in (("scenario", rows.scenarios), ("group", rows.groups)):
        if values is not None:
            columns[name] = values
    return pd.DataFrame(columns | {f"{name}_score": scores for name, scores in baseline_scores.items()})
