"""What the report says first: how much fraud the budget catches, and whether boosted trees do as well.

No TensorFlow here.
"""

from apps.fraud_detection.judgement import evidence, names, results
from shared.evaluation import intervals
from shared.report import blocks, formatting


def sentence(findings: results.Findings, data: evidence.Data, run: evidence.Run) -> str:
    """Return the report's opening."""
    return " ".join([caught(findings, run), ranked(findings), comparison(findings), money(findings, data)])


def caught(findings: results.Findings, run: evidence.Run) -> str:
    """Say how much is caught within the budget."""
    recall = findings.metrics.get("recall_in_budget")
    if recall is None:
        return "A fold without frauds has nothing to be caught."
    value = findings.metrics.get("value_recall_in_budget")
    worth = "" if value is None else f", {percent(value)} of the money"
    precision = percent(findings.metrics["precision_in_budget"])
    return (
        f"Looking at the {run.costs.alerts_per_day} most suspicious transactions of each day finds {percent(recall)} "
        f"of the frauds{worth}; {precision} of the alerts are frauds."
    )


def ranked(findings: results.Findings) -> str:
    """Say how well it ranks, beside chance."""
    found = findings.metrics.get("average_precision")
    if found is None:
        return ""
    return f"Average precision is {formatting.with_bounds(found)}, where chance has {findings.prevalence:.4f}."


def comparison(findings: results.Findings) -> str:
    """Say whether the model is better than the baseline to beat."""
    name = names.reference(findings.differences)
    difference = findings.differences[name].get("average_precision")
    label = names.LABELS.get(name, name)
    if difference is None:
        return f"Whether that is better than {label} cannot be told here."
    words = {
        "better": f"It is better than {label}",
        "worse": f"It is WORSE than {label}, which should be used instead",
        "no clear difference": f"It is NOT shown to be better than {label}",
    }[formatting.verdict(difference)]
    rival = formatting.number(findings.baselines[name]["average_precision"].value)
    bounds = formatting.with_bounds(difference, signed=True)
    return f"{words}: that one has {rival}, a difference of {bounds}."


def money(findings: results.Findings, data: evidence.Data) -> str:
    """Say what the frozen threshold saves."""
    found = findings.metrics.get("net_savings_per_day")
    if found is None:
        return ""
    unit = f" {data.currency}" if data.currency else ""
    return f"At the frozen threshold it saves {found.value:,.0f} ({found.low:,.0f} to {found.high:,.0f}){unit} a day."


def tiles(findings: results.Findings) -> list[blocks.Tile]:
    """Return the headline numbers."""
    notes = {
        "average_precision": f"chance: {findings.prevalence:.4f}",
        "auroc": "0.5 is chance; little is said by it where frauds are rare",
        "card_precision_at_100": "cards a day that are rightly looked at",
        "recall_in_budget": "of the frauds",
        "precision_in_budget": "of the alerts",
    }
    found = [
        blocks.Tile(formatting.metric_name(name), findings.metrics[name], note)
        for name, note in notes.items()
        if name in findings.metrics
    ]
    name = names.reference(findings.differences)
    difference = findings.differences[name].get("average_precision")
    if difference is not None:
        label = f"Average precision against {names.LABELS.get(name, name)}"
        found.insert(1, blocks.Tile(label, difference, formatting.verdict(difference), signed=True))
    return found


def percent(share: intervals.Interval) -> str:
    """Return a share in percent with its interval.

    >>> percent(intervals.Interval(0.9213, 0.91, 0.93))
    '92.1 % (91.0–93.0)'
    """
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}–{100 * share.high:.1f})"
