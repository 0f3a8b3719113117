"""The report of an evaluation: how much fraud the budget catches, whether boosted trees do as well, what it saves.

No TensorFlow here.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.fraud_detection import baselines, metrics
from apps.fraud_detection import report_sections as own
from apps.fraud_detection import results as outcome
from shared.report import blocks, document, formatting, sections, statuses

MOST_CURVES = 6


def evaluation(results: outcome.Results) -> document.Evaluation:
    """Return the metrics, the page and the predictions of an evaluation."""
    content, data, rows = outcome.metrics_document(results), results.data, results.rows
    return document.Evaluation(
        metrics=content,
        predictions=outcome.predictions_table(results),
        report=document.Report(
            title="Card fraud",
            subtitle=f"Run {results.predictions.run} on {data.source}, part {data.split}: {len(rows):,} transactions, "
            f"{int(rows.labels.sum()):,} frauds",
            answer="\n\n".join(filter(None, _summary(results))),
            status=_status(results),
            headline=_tiles(results),
            metrics=content,
            labels=baselines.LABELS,
            sections=[
                own.folds(results),
                own.budget(results),
                own.ranking(results),
                own.money(results),
                own.slices(results),
                own.calibration(results),
                own.drift(results.drift),
                *own.fairness(results.equality),
                *own.compared(results),
                _training(results),
                _origin(results),
            ],
        ),
    )


def _summary(results: outcome.Results) -> list[str]:
    """Return what matters first, in sentences; where the rows can show it."""
    if not results.limits:
        return [_caught(results), _ranked(results), _money(results)]
    ranked = (
        results.rows.has_payer and "average_precision" in results.metrics and np.ptp(results.predictions.scores) > 0
    )
    return [*([_caught(results), _ranked(results)] if ranked else []), _money(results)]


def _caught(results: outcome.Results) -> str:
    """Return how much is caught within the budget."""
    recall = results.metrics.get("recall_in_budget")
    if recall is None:
        rows = results.rows
        if all((rows.labels[rows.folds == fold] == 1).any() for fold in np.unique(rows.folds)):
            return "There are too few cards with frauds to say how many are caught."
        return "A fold without frauds has nothing to be caught."
    value = results.metrics.get("value_recall_in_budget")
    worth = "" if value is None else f", {formatting.percent(value)} of the money"
    precision = formatting.percent(results.metrics["precision_in_budget"])
    return (
        f"Looking at the {results.predictions.costs.alerts_per_day} most suspicious transactions of each day finds "
        f"{formatting.percent(recall)} of the frauds{worth}; {precision} of the alerts are frauds."
    )


def _ranked(results: outcome.Results) -> str:
    """Return how well it ranks, beside chance."""
    found = results.metrics.get("average_precision")
    if found is None:
        return ""
    return f"Average precision is {formatting.with_bounds(found)}, where chance has {results.prevalence:.4f}."


def _status(results: outcome.Results) -> statuses.Status:
    """Return whether the model is better than the baseline to beat, by average precision."""
    if results.limits:
        return statuses.Status(statuses.UNKNOWN, results.limits)
    name = results.baseline
    return statuses.against(
        results.metrics,
        results.baselines[name],
        results.differences[name].get("average_precision"),
        metric="average_precision",
        label=baselines.label(name),
    )


def _money(results: outcome.Results) -> str:
    """Return what the frozen threshold saves."""
    found = results.metrics.get("net_savings_per_day")
    if found is None:
        return ""
    unit = f" {results.predictions.costs.currency}" if results.predictions.costs.currency else ""
    value, low, high = (formatting.number(each, digits=0) for each in (found.value, found.low, found.high))
    return f"At the frozen threshold it saves {value} ({low} to {high}){unit} a day."


def _tiles(results: outcome.Results) -> list[blocks.Tile]:
    """Return the headline numbers."""
    notes = {
        "average_precision": f"chance: {results.prevalence:.4f}",
        "auroc": "0.5 is chance; it shows little where frauds are rare",
        "card_precision_at_100": "share of the cards looked at that are compromised",
        "recall_in_budget": "of the frauds",
        "precision_in_budget": "of the alerts",
    }
    found = [
        blocks.Tile(formatting.metric_name(name), results.metrics[name], note)
        for name, note in notes.items()
        if name in results.metrics
    ]
    name = results.baseline
    difference = results.differences[name].get("average_precision")
    if difference is not None:
        label = f"Average precision against {baselines.label(name)}"
        found.insert(1, blocks.Tile(label, difference, formatting.direction(difference), signed=True))
    return found


def _training(results: outcome.Results) -> document.Section:
    """Show the networks of an ensemble and how the newest were trained."""
    shown = [name for name in metrics.HEADLINE if name in results.metrics]
    return document.Section(
        "Networks and training",
        "What the model is made of and how it learned; the curves are of the newest fold.",
        [
            *sections.networks(results.metrics, results.members, shown, rows="transactions"),
            *sections.histories(results.predictions.history, newest=MOST_CURVES),
        ],
    )


def _origin(results: outcome.Results) -> document.Section:
    """Show what was evaluated and what keeps it apart from training."""
    rows, data = results.rows, results.data
    counts: dict[str, blocks.Cell] = {
        "Transactions": len(rows),
        "Frauds": int(rows.labels.sum()),
        "Cards": len(set(rows.payers.tolist())) if rows.has_payer else "not named",
    }
    table = sections.data(data, counts)
    certificate = [_certificate(data.certificate)] if data.certificate else []
    notes = [blocks.Text(note) for note in data.notes]
    return document.Section("Where the data come from", data.protocol, [table, *certificate, *notes])


def _certificate(certificate: Mapping[str, Any]) -> blocks.Table:
    rows = [
        (str(number), part, found["rows"], found["frauds"], found["first_day"] or "", found["last_day"] or "")
        for number, fold in enumerate(certificate["checks"]["folds"], start=1)
        for part, found in fold.items()
    ]
    return blocks.Table(
        columns=("Fold", "Part", "Transactions", "Frauds", "From", "To"),
        rows=rows,
        caption=f"The split certificate; unit: {certificate['unit']}. Nothing is in two parts of a fold.",
        align="llrrll",
    )
