"""The report's section on the behavioural suite: what the model understands. No TensorFlow here."""

from apps.sentiment.checklist import behaviour
from shared.report import blocks, document, figures

MOST_EXAMPLES = 8


def section(report: behaviour.BehaviourReport) -> document.Section:
    """Show what the model can and cannot do, and whether the person in a sentence matters."""
    title = "What it understands"
    if not report.rows:
        reasons = [blocks.Text(note) for note in report.notes]
        return document.Section(title, "The behavioural suite does not apply.", reasons)
    failing = sorted((row for row in report.rows if row.examples), key=lambda row: -row.failure_rate.value)
    lead = (
        "Simple texts in the manner of CheckList. A case fails when its prediction is wrong (minimum "
        "functionality), when a change without sentiment alters the prediction or moves the score by more "
        f"than {behaviour.TOLERANCE:g} (invariance), or when a change with sentiment moves it the other way "
        "(direction)."
    )
    return document.Section(
        title,
        lead,
        [
            _failure_figure(report),
            _behaviour_table(report),
            *(_examples(row) for row in failing[:MOST_EXAMPLES]),
            _gap_table(report),
        ],
    )


def _failure_figure(report: behaviour.BehaviourReport) -> blocks.Figure:
    rates = {row.capability: row.failure_rate for row in report.rows}
    return blocks.Figure(
        svg=figures.bars(rates, axis_label="Failure rate"),
        caption="Share of failed cases per capability, with its interval.",
        alt="Failure rates: " + "; ".join(f"{name} {100 * rate.value:.0f} %" for name, rate in rates.items()),
    )


def _behaviour_table(report: behaviour.BehaviourReport) -> blocks.Table:
    return blocks.Table(
        columns=("Kind", "Capability", "What is tested", "Cases", "Failed", "Failure rate"),
        rows=[
            (row.kind, row.capability, row.description, row.n, row.failures, row.failure_rate) for row in report.rows
        ],
        caption="The behavioural suite; texts are made from templates, not taken from the data.",
        align="lllrrr",
    )


def _examples(row: behaviour.Row) -> blocks.Details:
    quotes = [
        blocks.Quote(
            text=example.text if example.changed is None else f"{example.text}\n→ {example.changed}",
            facts={
                "Predicted": " → ".join(example.predicted),
                "Positivity": " → ".join(f"{score:.2f}" for score in example.scores),
            },
            tone="bad",
        )
        for example in row.examples
    ]
    return blocks.Details(f"{row.capability}: {row.failures} of {row.n} failed, such as …", quotes)


def _gap_table(report: behaviour.BehaviourReport) -> blocks.Table:
    return blocks.Table(
        columns=("Persons", "Compared with", "Texts", "Mean difference in positivity", "Gap"),
        rows=[(*gap.groups, f"{gap.n:,}", gap.difference, "yes" if gap.clear else "none shown") for gap in report.gaps],
        caption="The same sentences about different persons; positivity runs from 0 to 1. "
        "A gap is an interval that leaves out 0.",
        align="llrrl",
        signed=True,
    )
