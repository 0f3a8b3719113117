"""Judge a run on labelled texts: metrics, report and predictions from what the model and its baselines said.

The straight line is ``evaluate``: appoint a judge, measure, write the document, the report and the table. No
TensorFlow here.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from apps.sentiment import baselines
from apps.sentiment.checklist import behaviour
from apps.sentiment.judgement import answer, behaviour_section, evidence, provenance, results, sections
from apps.sentiment.judgement import judge as judges
from shared.report import document, metrics

APP = "sentiment"
FEW_ROWS = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation's results.

    Attributes:
        metrics: Content of ``metrics.json``.
        report: The page; ``shared.report.document.write`` writes both.
        predictions: One row per text: row, source, unit, text, text_sha256, label, predicted, decision (a
            class or "abstain"), ``score_<class>`` and for each baseline ``<baseline>_predicted`` and
            ``<baseline>_score_<class>``.
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
    behaviour_report: behaviour.BehaviourReport,
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Judge ``run`` on ``rows``.

    Args:
        rows: The texts and their labels.
        data: What the texts are.
        run: What the model says about them.
        baseline_scores: Probabilities (n, classes) by name, at least one, from ``baselines.fit`` on the
            run's own training part.
        behaviour_report: What ``behaviour.run`` returned for the same model.
        resamples: Bootstrap resamples behind every interval.
        seed: Of the resamples.

    Raises:
        errors.InputError: The rows hold fewer than two units, or a row without a label.
        ValueError: There is no baseline, or arrays do not fit together.
    """
    judge = judges.appoint(rows, run, baselines=baseline_scores, resamples=resamples, seed=seed)
    findings = results.measure(judge, rows, run, ordinal=data.ordinal)
    content = _document(rows, data, run, findings, behaviour_report)
    return Evaluation(
        metrics=content,
        report=_report(rows, data, run, judge, findings, behaviour_report, content),
        predictions=_predictions(rows, run, judge),
    )


def _document(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    findings: results.Findings,
    behaviour_report: behaviour.BehaviourReport,
) -> dict[str, Any]:
    content = metrics.metrics_document(
        app=APP,
        run=run.name,
        data={
            "source": data.source,
            "split": data.split,
            "n": len(rows),
            "unit": data.unit,
            "n_units": len(np.unique(rows.units)),
            "sha256": data.sha256,
        },
        metrics=findings.metrics,
        baselines=findings.baselines,
        differences=findings.differences,
        operating_points=results.operating_points(run.decision, findings.abstention),
        slices=findings.slices,
        calibration=findings.calibration,
        notes=_notes(rows, data, findings),
    )
    more = {
        "per_class": findings.per_class,
        "confusion": {"classes": run.decision.class_names, "counts": findings.confusion},
        "abstention": findings.abstention,
        "members": findings.members,
        "behaviour": behaviour_report.to_json(),
    }
    return content | {name: metrics.plain(value, where=name) for name, value in more.items()}


def _notes(rows: evidence.Rows, data: evidence.Data, findings: results.Findings) -> list[str]:
    notes = [*data.notes, *findings.notes]
    if len(rows) < FEW_ROWS:
        notes.append(f"Only {len(rows)} texts were judged: most differences cannot show on so few.")
    for name, label in baselines.LABELS.items():
        if name not in findings.baselines:
            notes.append(f"Baseline left out: {label}. {baselines.REQUIREMENTS[name]}")
    return [*notes, "These numbers hold for texts of the same subject, language and kind of writer as these."]


def _report(
    rows: evidence.Rows,
    data: evidence.Data,
    run: evidence.Run,
    judge: judges.Judge,
    findings: results.Findings,
    behaviour_report: behaviour.BehaviourReport,
    content: Mapping[str, Any],
) -> document.Report:
    names = run.decision.class_names
    return document.Report(
        title="Sentiment of texts",
        subtitle=f"Run {run.name} on {data.source}, part {data.split}: {', '.join(names)}",
        answer=answer.sentence(findings, behaviour_report, rows=len(rows)),
        headline=answer.tiles(findings, behaviour_report),
        metrics=content,
        labels=baselines.LABELS,
        sections=[
            sections.where(findings),
            sections.classes(findings, names),
            sections.abstention(findings, judge),
            behaviour_section.section(behaviour_report),
            sections.mistakes(rows, judge, names),
            sections.calibration(findings),
            provenance.training(findings, run.history),
            provenance.origin(data, rows),
        ],
    )


def _predictions(rows: evidence.Rows, run: evidence.Run, judge: judges.Judge) -> pd.DataFrame:
    names = run.decision.class_names
    classes = np.array(names, object)
    columns: dict[str, Any] = {
        "row": rows.lines,
        "file": rows.files.astype(str),
        "source": rows.sources.astype(str),
        "unit": rows.units,
        "text": rows.texts,
        "text_sha256": [hashlib.sha256(text.encode()).hexdigest() for text in rows.texts],
        "label": classes[judge.labels],
        "predicted": classes[judge.predicted],
        "decision": run.decision.decisions(judge.scores),
        **_score_columns("", judge.scores, names),
    }
    for name, scores in judge.baselines.items():
        columns[f"{name}_predicted"] = classes[scores.argmax(axis=1)]
        columns |= _score_columns(f"{name}_", scores, names)
    return pd.DataFrame(columns)


def _score_columns(prefix: str, scores: evidence.Floats, names: tuple[str, ...]) -> dict[str, evidence.Floats]:
    return {f"{prefix}score_{name}": scores[:, column] for column, name in enumerate(names)}
