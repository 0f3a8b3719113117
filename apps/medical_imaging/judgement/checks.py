"""The report's sections on what could go wrong: the threshold, shortcuts, worse images, explanations.

No TensorFlow here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.medical_imaging.judgement import answer, evidence, single
from shared.evaluation import intervals
from shared.report import blocks, curves, document, formatting


def threshold(findings: single.Findings) -> document.Section:
    """Show how firm the threshold is."""
    content = findings.firmness
    return document.Section(
        "How firm is the threshold?",
        _threshold_lead(content),
        [_sweep_figure(content), *([_rule_table(content)] if content.get("rules") else [])],
    )


def _threshold_lead(content: Mapping[str, Any]) -> str:
    told = [f"The threshold is {content['threshold']:.3f} ({answer.spaced(content['rule'])})."]
    if "interval" in content:
        interval, reach = content["interval"], content["accuracy_range"]
        told.append(
            f"Other validation patients could have put it between {interval.low:.3f} and {interval.high:.3f}; "
            f"accuracy here would then be between {100 * reach['lowest']:.1f} and {100 * reach['highest']:.1f} %."
        )
    if "hindsight" in content:
        told.append(
            f"It gives {100 * content['accuracy']:.1f} %; the best threshold in hindsight, which nobody could have "
            f"chosen, gives {100 * content['hindsight']:.1f} %."
        )
    return " ".join(told)


def _sweep_figure(content: Mapping[str, Any]) -> blocks.Figure:
    sweep = content["sweep"]
    names = ("accuracy", "sensitivity", "specificity")
    return blocks.Figure(
        svg=curves.lines(
            [row["shift_logits"] for row in sweep],
            {formatting.metric_name(name): [row[name] for row in sweep] for name in names},
            look=curves.Look(
                x_label="Threshold moved by, in logits",
                y_label="Share",
                y_limits=(min(0.5, _lowest(sweep)), 1.01),
                marks={"Frozen": 0.0},
            ),
        ),
        caption="What a moved threshold does. Another scanner or exposure that shifts all logits by one unit does the "
        "same as moving the threshold by one the other way: flat lines are safe, steep ones are not.",
        alt="Accuracy, sensitivity and specificity against the shift of the threshold",
    )


def _lowest(sweep: Sequence[Mapping[str, Any]]) -> float:
    return min(float(row["accuracy"].value) for row in sweep) - 0.02


def _rule_table(content: Mapping[str, Any]) -> blocks.Table:
    return blocks.Table(
        columns=("Rule on the same validation patients", "Score from", "Accuracy", "Sensitivity", "Specificity"),
        rows=[
            (
                answer.spaced(row["rule"]),
                *(row[name] for name in ("threshold", "accuracy", "sensitivity", "specificity")),
            )
            for row in content["rules"]
        ],
        caption="What other rules would have chosen, and what that would do here. The first is the one in use.",
        align="lrrrr",
        emphasis=(0,),
    )


def shortcuts(findings: single.Findings) -> document.Section:
    """Show whether scores follow an attribute instead of the finding."""
    lead = (
        "Whether scores follow something else than the finding. Among images of one label, an image with the attribute "
        "should outrank one without in half of all pairs (0.5). A shortcut also shows as a fall of AUROC on "
        "the images in which the attribute contradicts the label."
    )
    suspected = [row["name"] for row in findings.shortcuts if row["suspected"]]
    warning = [blocks.Text(f"Suspected: {', '.join(map(answer.phrase, suspected))}.", tone="bad")] if suspected else []
    untold = ", ".join(answer.phrase(row["name"]) for row in findings.shortcuts if row["untold"])
    if untold:
        told = (
            f"Cannot be told for {untold}: it nearly gives the label away, and too few images contradict it to see "
            "what the scores follow. Test on images in which it does not, before believing any number here."
        )
        warning.append(blocks.Text(told, tone="bad"))
    table = blocks.Table(
        columns=(
            "Attribute",
            "Positive with it",
            "Positive without",
            "Outranks, among negatives",
            "Outranks, among positives",
            "AUROC, agreeing",
            "AUROC, contradicting",
            "Shortcut",
        ),
        rows=[_shortcut_cells(row) for row in findings.shortcuts],
        caption="Attributes that images of both labels have, or that go with the label. A shortcut is suspected where "
        "the attribute goes with the label and scores follow it even among the negatives, in which no graver finding "
        "could explain it.",
        align="lrrrrrrl",
        emphasis=[number for number, row in enumerate(findings.shortcuts) if row["suspected"]],
        digits=2,
    )
    return document.Section("Has it learned a shortcut?", lead, [*warning, table])


def _shortcut_cells(row: Mapping[str, Any]) -> tuple[blocks.Cell, ...]:
    names = ("prevalence_with", "prevalence_without", "among_negatives", "among_positives", "agreeing", "conflicting")
    verdict = "suspected" if row["suspected"] else "cannot be told" if row["untold"] else "not seen"
    return (answer.phrase(row["name"]), *(row[name] for name in names), verdict)


def robustness(rows: Sequence[Mapping[str, Any]], *, metric: str = "auroc") -> document.Section:
    """Show what worse images do."""
    kinds = list(dict.fromkeys(row["corruption"] for row in rows))
    levels = sorted({row["level"] for row in rows})
    values: dict[str, list[intervals.Interval | float | None]] = {
        kind: [_at(rows, kind, level, metric) for level in levels] for kind in kinds
    }
    name = formatting.metric_name(metric)
    figure = blocks.Figure(
        svg=curves.lines(
            levels,
            {kind: _plain(curve) for kind, curve in values.items()},
            look=curves.Look(x_label="Level of corruption; 0: none", y_label=name, whole=True),
        ),
        caption=f"{name} on the same images made worse on purpose, at the frozen threshold and calibration.",
        alt=f"{name} against the level of each corruption",
    )
    table = blocks.Table(
        columns=("Corruption", *(f"Level {level}" if level else "None" for level in levels)),
        rows=[(kind, *curve) for kind, curve in values.items()],
        caption=f"{name} by level, on {rows[0]['n']:,} images.",
        align="l" + "r" * len(levels),
    )
    return document.Section(
        "On worse images", "Noise, blur and other faults of real images, in rising levels.", [figure, table]
    )


def _plain(curve: Sequence[intervals.Interval | float | None]) -> list[intervals.Interval | float | None]:
    """Leave the bands to the table: of many corruptions they would hide each other."""
    return [point.value if isinstance(point, intervals.Interval) else point for point in curve]


def _at(rows: Sequence[Mapping[str, Any]], kind: str, level: int, metric: str) -> intervals.Interval | None:
    found = (row["metrics"].get(metric) for row in rows if row["corruption"] == kind and row["level"] == level)
    return next(found, None)


def explanations(explained: Sequence[evidence.Explained]) -> document.Section:
    """Show whether the maps that explain an answer can be trusted at all."""
    lead = (
        "A map of where the model looked is worth showing only if it changes when the model's weights are replaced by "
        "chance (Adebayo et al. 2018), and if it points at the finding where that is known."
    )
    return document.Section(
        "Can its explanations be believed?", lead, [_sanity_table(explained), _pointing_table(explained)]
    )


def _sanity_table(explained: Sequence[evidence.Explained]) -> blocks.Table:
    rows = [
        (one.method, one.images, stage, float(value)) for one in explained for stage, value in one.randomised.items()
    ]
    return blocks.Table(
        columns=("Map", "Images", "Weights replaced by chance", "Rank correlation with the true map"),
        rows=rows,
        caption="Near 0: the map depends on what was learned. Near 1: it would look the same for a model that "
        "knows nothing.",
        align="lrlr",
        digits=2,
    )


def _pointing_table(explained: Sequence[evidence.Explained]) -> blocks.Block:
    rows = [(one.method, one.pointing, one.chance) for one in explained if one.pointing is not None]
    if not rows:
        return blocks.Text("These data do not say where the findings are: whether the maps point at them is unknown.")
    return blocks.Table(
        columns=("Map", "Points inside the finding", "A random point would"),
        rows=rows,
        caption="The pointing game: how often the map's maximum lies inside a marked finding (Zhang et al. 2018).",
        align="lrr",
        digits=2,
    )
