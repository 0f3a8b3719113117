"""The report of an evaluation: is the model better than a linear one, where is it wrong, when does it abstain?

No TensorFlow here.
"""

import re
from collections.abc import Mapping
from typing import Any

from apps.sentiment import baselines, checklist, evaluate
from shared.evaluation import intervals
from shared.report import blocks, document, figures, formatting, sections, statuses
from shared.report.sections import classifier

# A capability that fails less often than this is not worth a word in the opening.
NOTABLE_FAILURE_RATE = 0.1
MOST_NAMED = 2
MOST_ERRORS = 8
LONGEST_QUOTE = 900
SLICES = {"source": "Source", "length": "Length", "out_of_vocabulary": "Unknown words"}
_BREAKS = re.compile(r"(?:\s*<br\s*/?>)+\s*", re.IGNORECASE)


def evaluation(results: evaluate.Results) -> document.Evaluation:
    """Return the metrics, the page and the predictions of an evaluation."""
    content = evaluate.metrics_document(results)
    data, names = results.data, results.evaluator.class_names
    words = classifier.Words("text", _label(results))
    found = results.common
    return document.Evaluation(
        metrics=content,
        predictions=evaluate.predictions_table(results),
        report=document.Report(
            title="Sentiment of texts",
            subtitle=f"Run {results.predictions.run} on {data.source}, part {data.split}: {', '.join(names)}",
            answer=opening(results),
            status=_status(results),
            headline=_tiles(results),
            metrics=content,
            labels=baselines.LABELS,
            sections=[
                _slices(results),
                *_ranking(results),
                classifier.classes(found, names, words),
                classifier.abstention(found, results.evaluator, results.baseline, words),
                checklist.section(results.behaviour),
                _errors(results),
                classifier.calibration(
                    found.calibration, "Whether a confidence of 80 % means correct in 80 of 100 cases."
                ),
                document.Section(
                    "Networks and training",
                    "What the model is made of and how it learned.",
                    [
                        *sections.networks(found.metrics, results.members, list(evaluate.MEMBER_METRICS), rows="texts"),
                        *sections.histories(results.predictions.history, metric="Calibrated log-likelihood"),
                    ],
                ),
                _origin(results),
            ],
        ),
    )


def _label(results: evaluate.Results) -> str:
    return baselines.LABELS.get(results.baseline, results.baseline)


def opening(results: evaluate.Results) -> str:
    """Return the report's first sentences."""
    found = results.common
    correct = formatting.percent(found.metrics["accuracy"])
    return "\n\n".join(
        [
            f"The model is correct on {correct} of {len(results.rows):,} texts.",
            *_by_source(results),
            _weakest(results),
            classifier.abstaining(found.abstention),
        ]
    )


def _status(results: evaluate.Results) -> statuses.Status:
    """Return whether the model is better than the baseline to beat, by accuracy."""
    found, name = results.common, results.baseline
    if found.degenerate:
        return statuses.Status(statuses.UNKNOWN, found.degenerate)
    return statuses.against(
        found.metrics,
        found.baselines[name],
        found.differences[name].get("accuracy"),
        metric="accuracy",
        label=_label(results),
    )


def _by_source(results: evaluate.Results) -> list[str]:
    """Name the difference on each source where there are several."""
    named = {
        row["name"].removeprefix("source="): row["differences"][results.baseline].get("accuracy")
        for row in results.common.slices
        if row["name"].startswith("source=") and row["metrics"] and not results.common.degenerate
    }
    told = [f"{name} {points(difference)}" for name, difference in named.items() if difference is not None]
    return [f"By source: {'; '.join(told)}."] if len(told) > 1 else []


def _weakest(results: evaluate.Results) -> str:
    """Name the slice that is clearly below the whole, and the capabilities that fail most."""
    overall = results.common.metrics["accuracy"].value
    shares = {row["name"]: row["metrics"].get("accuracy") for row in results.common.slices}
    poor = {name: share for name, share in shares.items() if share is not None and share.high < overall}
    failing = sorted(results.behaviour.rows, key=lambda row: -row.failure_rate.value)
    failing = [row for row in failing if row.failure_rate.low > NOTABLE_FAILURE_RATE][:MOST_NAMED]
    told = []
    if poor:
        name = min(poor, key=lambda name: float(poor[name].value))
        told.append(f"on {slice_label(name)}, correct in {formatting.percent(poor[name])}")
    told += [f"in the test “{row.capability}”, wrong in {formatting.percent(row.failure_rate)}" for row in failing]
    return f"It fails most {'; '.join(told)}." if told else "No slice and no behavioural test stands out."


def _tiles(results: evaluate.Results) -> list[blocks.Tile]:
    """Return the headline numbers."""
    metrics, abstention = results.common.metrics, results.common.abstention
    tiles = [blocks.Tile("Accuracy", metrics["accuracy"], "a class predicted for every text")]
    difference = results.common.differences[results.baseline].get("accuracy")
    if difference is not None:
        tiles.append(
            blocks.Tile(f"Against {_label(results)}", difference, formatting.direction(difference), signed=True)
        )
    told = {
        "f1_macro": "mean over classes",
        "mean_absolute_error": "classes from the true rating; lower is better",
        "ece": "lower is better",
    }
    for name, note in told.items():
        if name in metrics:
            tiles.append(blocks.Tile(formatting.metric_name(name), metrics[name], note))
    if abstention["selective_accuracy"] is not None:
        note = f"on the {100 * abstention['coverage'].value:.0f} % it is sure of"
        tiles.append(blocks.Tile("Accuracy when sure", abstention["selective_accuracy"], note))
    if results.behaviour.rows:
        worst = max(results.behaviour.rows, key=lambda row: row.failure_rate.value)
        tiles.append(
            blocks.Tile("Most failures", worst.failure_rate, f"wrong in “{worst.capability}”; lower is better")
        )
    return tiles


def _slices(results: evaluate.Results) -> document.Section:
    """Show accuracy on every slice, beside the baseline to beat."""
    tables = [_slice_table(results, kind, title) for kind, title in SLICES.items()]
    lead = f"Accuracy on parts of the data; the baseline is {_label(results)}."
    return document.Section("Where it is correct", lead, tables)


def _slice_table(results: evaluate.Results, kind: str, title: str) -> blocks.Table:
    rows = [row for row in results.common.slices if row["name"].startswith(f"{kind}=")]
    return blocks.Table(
        columns=(title, "Texts", "Units", "Model", "Baseline", "Difference"),
        rows=[
            (row["name"].partition("=")[2], row["n"], row["n_units"], *_slice_cells(row, results.baseline))
            for row in rows
        ],
        caption=f"By {title.lower()}: accuracy, and model minus baseline on the same resamples.",
        align="lrrrrr",
    )


def _slice_cells(row: Mapping[str, Any], name: str) -> tuple[blocks.Cell, ...]:
    if not row["metrics"]:
        return ("too few", None, None)
    groups = (row["metrics"], row["baselines"][name], row["differences"][name])
    return tuple(group.get("accuracy") for group in groups)


def _ranking(results: evaluate.Results) -> list[document.Section]:
    """Show the whole trade of two classes, without any threshold; nothing for more classes, or where one is missing."""
    evaluator = results.evaluator
    if len(evaluator.class_names) != 2 or len(set(evaluator.labels.tolist())) != 2:
        return []
    scores = {
        "Model": evaluator.scores[:, 1],
        _label(results): evaluator.baselines[results.baseline][:, 1],
    }
    drawn = [
        blocks.Figure(svg=draw(evaluator.labels, scores), caption=caption, alt=f"{name} of the model and its baseline")
        for name, draw, caption in (
            ("Receiver operating characteristic", figures.roc, "Each point of a line is a threshold."),
            (
                "Precision against recall",
                figures.precision_recall,
                "The dotted line is chance, the share of positives.",
            ),
        )
    ]
    lead = f"Every threshold of the score of “{evaluator.class_names[1]}”, beside {_label(results)}."
    return [document.Section("How well it ranks", lead, [blocks.Row(drawn)])]


def _errors(results: evaluate.Results) -> document.Section:
    """Quote the wrong predictions that the model was surest of."""
    rows, evaluator = results.rows, results.evaluator
    quotes = [
        blocks.Quote(
            text=_shortened(rows.texts[row]),
            facts={
                "Labelled": evaluator.class_names[evaluator.labels[row]],
                "Predicted": evaluator.class_names[evaluator.predicted[row]],
                "Confidence": float(evaluator.scores[row].max()),
                "From": _place(rows, row),
            },
            tone="bad",
        )
        for row in classifier.surest_errors(evaluator)[:MOST_ERRORS].tolist()
    ]
    lead = "The wrong predictions it was surest of. Some of them are labels that a reader would dispute."
    return document.Section("Its most confident errors", lead if quotes else "It made no errors.", quotes)


def _place(rows: evaluate.Rows, row: int) -> str:
    """Say where a text is found: in which of many files, or in which part of the only one."""
    name = rows.sources[row] if len(set(rows.files)) == 1 else rows.files[row]
    return f"{name}, row {rows.lines[row]:,}"


def _shortened(text: str) -> str:
    """Keep both ends of a long text, whose last sentence often sums it up, and break its lines."""
    text = _BREAKS.sub("\n", text)
    if len(text) <= LONGEST_QUOTE:
        return text
    half = LONGEST_QUOTE // 2
    return f"{text[:half]} […] {text[-half:]}"


def _origin(results: evaluate.Results) -> document.Section:
    """Show what was evaluated and what keeps it apart from training."""
    counts: dict[str, blocks.Cell] = {"Texts": len(results.rows), "Units": len(set(results.rows.units.tolist()))}
    return document.Section(
        "Data and split",
        "What was evaluated, and what keeps it apart from what the model was trained on.",
        [
            sections.data(results.data, counts),
            *sections.certificate(
                results.data.certificate, ("Texts", "Units"), claim="no unit and no text is in two parts"
            ),
        ],
    )


def slice_label(name: str) -> str:
    """Return a slice's name as a phrase.

    >>> slice_label("length=at most 25 words"), slice_label("source=imdb")
    ('texts of at most 25 words', 'texts from imdb')
    """
    kind, _, label = name.partition("=")
    lead = {"source": "from", "length": "of", "out_of_vocabulary": "with unknown words of"}
    return f"texts {lead.get(kind, kind)} {label}"


def points(difference: intervals.Interval) -> str:
    """Return a difference in percentage points with its interval.

    >>> points(intervals.Interval(0.012, -0.001, 0.021))
    '+1.2 points (−0.1 to +2.1)'
    """
    value, low, high = (
        formatting.number(100 * number, digits=1, signed=True)
        for number in (difference.value, difference.low, difference.high)
    )
    return f"{value} points ({low} to {high})"
