"""What the report says first, with one answer per image. No TensorFlow here."""

from collections.abc import Mapping
from typing import Any

from apps.medical_imaging import baselines
from apps.medical_imaging.judgement import evidence, single
from shared.evaluation import intervals
from shared.report import blocks, formatting

NOT_A_DEVICE = "It is not a medical device and must not be used for the care of patients."


def sentence(findings: single.Findings, data: evidence.Data, run: evidence.Run, *, rows: int) -> str:
    """Return the report's opening."""
    parts = [
        _synthetic(data),
        ranking(findings, run, rows=rows),
        at_threshold(findings),
        comparison(findings.differences, findings.baselines, findings.metrics),
        shortcut(findings),
        weakest(findings),
        NOT_A_DEVICE,
    ]
    return " ".join(part for part in parts if part)


def _synthetic(data: evidence.Data) -> str:
    return "These images are SIMULATED: the numbers say nothing about patients." if data.synthetic else ""


def ranking(findings: single.Findings, run: evidence.Run, *, rows: int) -> str:
    """Say how well the model tells the classes apart."""
    found = findings.metrics.get("auroc")
    if found is None:
        return f"On {rows:,} images of one class it cannot be said how well the model tells classes apart."
    positive = run.class_names[-1]
    if len(run.class_names) == 2:
        return f"The model ranks an image with {positive} above one without in {percent(found)} of pairs (AUROC)."
    return f"The model's mean AUROC over {len(run.class_names)} classes is {formatting.with_bounds(found)}."


def at_threshold(findings: single.Findings) -> str:
    """Say what the frozen threshold does."""
    accuracy = findings.metrics.get("accuracy")
    if not findings.points:
        return "" if accuracy is None else f"It answers {percent(accuracy)} of the images rightly."
    point = findings.points[0]
    told = [f"At the threshold frozen on validation it answers {percent(point['accuracy'])} rightly"]
    if point["sensitivity"] is not None and point["specificity"] is not None:
        told.append(
            f"finds {percent(point['sensitivity'])} of the positives and clears {percent(point['specificity'])} of the "
            "negatives"
        )
    return ", ".join(told) + "."


def reference(groups: Mapping[str, object]) -> str:
    """Return the baseline to beat: the linear one on features, then on pixels, else the first.

    >>> reference({"majority": {}, "pixel_logistic": {}})
    'pixel_logistic'
    """
    return next((name for name in baselines.STRONGEST_FIRST if name in groups), next(iter(groups)))


def comparison(
    differences: Mapping[str, Mapping[str, intervals.Interval]],
    groups: Mapping[str, Mapping[str, intervals.Interval]],
    metrics: Mapping[str, intervals.Interval],
) -> str:
    """Say whether the model is better than the baseline to beat, by the headline metric."""
    name, headline = reference(groups), next(iter(metrics), "auroc")
    label = baselines.LABELS.get(name, name)
    difference = differences[name].get(headline)
    if difference is None:
        return f"Whether that is better than {label} cannot be told from so few images."
    words = {
        "better": f"It is better than {label}",
        "worse": f"It is WORSE than {label}, which should be used instead",
        "no clear difference": f"It is NOT shown to be better than {label}",
    }[formatting.verdict(difference)]
    metric = formatting.metric_name(headline)
    gained = formatting.with_bounds(difference, signed=True)
    return f"{words} ({metric} {formatting.value(groups[name][headline])}; difference {gained})."


def shortcut(findings: single.Findings) -> str:
    """Name the attributes that the model seems to have learned instead of the finding."""
    names = [phrase(row["name"]) for row in findings.shortcuts if row["suspected"]]
    if names:
        return f"WARNING: it may have learned a shortcut: its scores follow {', '.join(names)}."
    untold = [phrase(row["name"]) for row in findings.shortcuts if row["untold"]]
    if untold:
        return (
            f"WARNING: {', '.join(untold)} nearly gives the label away; whether its scores follow that cannot be told."
        )
    return ""


def weakest(findings: single.Findings) -> str:
    """Name the subgroup that is clearly below the whole."""
    if "auroc" not in findings.metrics:
        return ""
    overall = findings.metrics["auroc"].value
    poor = [row for row in findings.slices if "auroc" in row["metrics"] and row["metrics"]["auroc"].high < overall]
    if not poor:
        return ""
    row = min(poor, key=lambda row: float(row["metrics"]["auroc"].value))
    return f"It is weakest on {phrase(row['name'])} (AUROC {formatting.with_bounds(row['metrics']['auroc'])})."


def phrase(name: str) -> str:
    """Return a subgroup's name as words.

    >>> phrase("device_mark=yes"), phrase("age=60 to 74 years")
    ('device mark: yes', 'age: 60 to 74 years')
    """
    kind, _, value = name.partition("=")
    return f"{kind.replace('_', ' ')}: {value}"


def tiles(findings: single.Findings) -> list[blocks.Tile]:
    """Return the headline numbers."""
    found = []
    if "auroc" in findings.metrics:
        note = "a positive outranks a negative" if findings.points else "mean over classes"
        found.append(blocks.Tile("AUROC", findings.metrics["auroc"], note))
    found += _point_tiles(findings.points[0]) if findings.points else _accuracy_tiles(findings.metrics)
    if findings.points:
        found += _purpose_tiles(findings.points[1:])
    return found


def _point_tiles(point: Mapping[str, Any]) -> list[blocks.Tile]:
    wanted = {
        "accuracy": "at the frozen threshold",
        "sensitivity": "positives found",
        "specificity": "negatives cleared",
    }
    return [
        blocks.Tile(formatting.metric_name(name), point[name], note)
        for name, note in wanted.items()
        if point[name] is not None
    ]


def _purpose_tiles(points: list[dict[str, Any]]) -> list[blocks.Tile]:
    """Show of rule-out what it clears, of rule-in what it finds."""
    found = []
    for point in points:
        name = "specificity" if point["rule"].startswith("sensitivity") else "sensitivity"
        if point[name] is not None:
            purpose = point["name"].partition(" ")[0].capitalize()
            found.append(blocks.Tile(purpose, point[name], f"{name} at {spaced(point['rule'])} on validation"))
    return found


def spaced(rule: str) -> str:
    """Return a rule as a person writes it.

    >>> spaced("sensitivity>=0.95"), spaced("equal_margin")
    ('sensitivity ≥ 0.95', 'equal margin')
    """
    return rule.replace(">=", " ≥ ").replace("<=", " ≤ ").replace("_", " ")


def _accuracy_tiles(metrics: Mapping[str, intervals.Interval]) -> list[blocks.Tile]:
    wanted = {"accuracy": "all images answered", "balanced_accuracy": "mean over classes", "ece": "lower is better"}
    return [
        blocks.Tile(formatting.metric_name(name), metrics[name], note)
        for name, note in wanted.items()
        if name in metrics
    ]


def abstaining(content: Mapping[str, Any]) -> str:
    """Say what the abstention rule costs and buys."""
    selective = content["selective_accuracy"]
    held_back = 100 * (1 - content["coverage"].value)
    if selective is None:
        return "It is never sure enough to answer under its abstention rule."
    if content["answered"] == content["n"]:
        return "It never abstains here."
    return f"It abstains from the {held_back:.1f} % it is unsure of, and is right in {percent(selective)} of the rest."


def percent(share: intervals.Interval) -> str:
    """Return a share in percent with its interval.

    >>> percent(intervals.Interval(0.9213, 0.91, 0.93))
    '92.1 % (91.0–93.0)'
    """
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}–{100 * share.high:.1f})"
