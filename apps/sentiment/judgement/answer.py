"""What the report says first: is the model better than a linear one, where does it fail, when abstain?

No TensorFlow here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.sentiment import baselines
from apps.sentiment.checklist import behaviour
from apps.sentiment.judgement import results
from shared.evaluation import intervals
from shared.report import blocks, formatting

# A capability that fails less often than this is not worth a word in the opening.
NOTABLE_FAILURE_RATE = 0.1
MOST_NAMED = 2


def sentence(findings: results.Findings, report: behaviour.BehaviourReport, *, rows: int) -> str:
    """Return the report's opening."""
    accuracy = percent(findings.metrics["accuracy"])
    return " ".join(
        [
            f"The model answers {accuracy} of {rows:,} texts rightly.",
            comparison(findings),
            *_by_source(findings.slices, reference(findings.baselines)),
            weakest(findings, report),
            abstaining(findings.abstention),
        ]
    )


def reference(groups: Mapping[str, Mapping[str, intervals.Interval]]) -> str:
    """Return the baseline to beat: the linear one, or the most accurate where there is none.

    >>> reference({"majority": {}, "tfidf_logistic": {}})
    'tfidf_logistic'
    """
    if baselines.LINEAR in groups:
        return baselines.LINEAR
    return max(groups, key=lambda name: groups[name]["accuracy"].value)


def comparison(findings: results.Findings) -> str:
    """Say whether the model is better than the baseline to beat."""
    name = reference(findings.baselines)
    label = baselines.LABELS.get(name, name)
    difference = findings.differences[name].get("accuracy")
    if difference is None:
        return f"Whether that is better than {label} cannot be told from so few texts."
    verdict = {
        "better": f"It is better than {label}",
        "worse": f"It is WORSE than {label}, which should be used instead",
        "no clear difference": f"It is NOT shown to be better than {label}",
    }
    value = percent(findings.baselines[name]["accuracy"])
    words = verdict[formatting.verdict(difference)]
    return f"{words}: that one gets {value}, a difference of {points(difference)}."


def _by_source(slices: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """Name the difference on each source where there are several."""
    sources = [row for row in slices if row["name"].startswith("source=") and row["metrics"]]
    told = [
        f"{row['name'].removeprefix('source=')} {points(row['differences'][name]['accuracy'])}"
        for row in sources
        if "accuracy" in row["differences"][name]
    ]
    return [f"By source: {'; '.join(told)}."] if len(told) > 1 else []


def weakest(findings: results.Findings, report: behaviour.BehaviourReport) -> str:
    """Name the slice that is clearly below the whole, and the capabilities that fail most."""
    overall = findings.metrics["accuracy"].value
    poor = [row for row in findings.slices if "accuracy" in row["metrics"]]
    poor = [row for row in poor if row["metrics"]["accuracy"].high < overall]
    failing = sorted(report.rows, key=lambda row: -row.failure_rate.value)
    failing = [row for row in failing if row.failure_rate.low > NOTABLE_FAILURE_RATE][:MOST_NAMED]
    told = []
    if poor:
        row = min(poor, key=lambda row: float(row["metrics"]["accuracy"].value))
        told.append(f"on {slice_label(row['name'])}, right in {percent(row['metrics']['accuracy'])}")
    told += [f"in the test “{row.capability}”, wrong in {percent(row.failure_rate)}" for row in failing]
    return f"It fails most {'; '.join(told)}." if told else "No slice and no behavioural test stands out."


def abstaining(content: Mapping[str, Any]) -> str:
    """Say what the abstention rule costs and buys."""
    selective = content["selective_accuracy"]
    held_back = 100 * (1 - content["coverage"].value)
    if selective is None:
        return "It is never sure enough to answer under its abstention rule."
    if content["answered"] == content["n"]:
        return "It never abstains here."
    gain = f"is right in {percent(selective)} of the rest"
    return f"It abstains from the {held_back:.1f} % it is unsure of, and {gain}."


def tiles(findings: results.Findings, report: behaviour.BehaviourReport) -> list[blocks.Tile]:
    """Return the headline numbers."""
    name = reference(findings.baselines)
    found = [blocks.Tile("Accuracy", findings.metrics["accuracy"], "all texts answered")]
    difference = findings.differences[name].get("accuracy")
    if difference is not None:
        label = baselines.LABELS.get(name, name)
        found.append(blocks.Tile(f"Against {label}", difference, formatting.verdict(difference), signed=True))
    for metric, note in (("f1_macro", "mean over classes"), ("ece", "lower is better")):
        if metric in findings.metrics:
            found.append(blocks.Tile(formatting.metric_name(metric), findings.metrics[metric], note))
    selective = findings.abstention["selective_accuracy"]
    if selective is not None:
        answered = f"on the {100 * findings.abstention['coverage'].value:.0f} % it is sure of"
        found.append(blocks.Tile("Accuracy when sure", selective, answered))
    if report.rows:
        worst = max(report.rows, key=lambda row: row.failure_rate.value)
        found.append(blocks.Tile("Worst behaviour", worst.failure_rate, f"failures in “{worst.capability}”"))
    return found


def slice_label(name: str) -> str:
    """Return a slice's name as a phrase.

    >>> slice_label("length=at most 25 words"), slice_label("source=imdb")
    ('texts of at most 25 words', 'texts from imdb')
    """
    kind, _, label = name.partition("=")
    lead = {"source": "from", "length": "of", "out_of_vocabulary": "with unknown words of"}
    return f"texts {lead.get(kind, kind)} {label}"


def percent(share: intervals.Interval) -> str:
    """Return a share in percent with its interval.

    >>> percent(intervals.Interval(0.9213, 0.91, 0.93))
    '92.1 % (91.0–93.0)'
    """
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}–{100 * share.high:.1f})"


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
