"""The report's sections on two classes: ranking, frozen thresholds and their stability, decision curve.

No TensorFlow here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.medical_imaging import baselines, evaluate, evaluate_binary
from shared.evaluation import net_benefit
from shared.report import blocks, curves, document, figures, formatting
from shared.report.sections import classifier

MOST_CURVES = 3
# Acting on everyone falls without end: the figure ends here.
LOWEST_BENEFIT = -0.08


def ranking(results: evaluate.Results) -> document.Section:
    """Show the whole trade between found and falsely called."""
    evaluator, metrics = results.evaluator, results.common.metrics
    others = [name for name in evaluator.baselines if name != baselines.MAJORITY][: MOST_CURVES - 1]
    scores = {
        "Model": evaluator.scores[:, 1],
        **{baselines.label(name): evaluator.baselines[name][:, 1] for name in others},
    }
    drawn = [
        blocks.Figure(
            svg=figures.roc(evaluator.labels, scores),
            caption="Each point of a line is a threshold. The frozen ones are evaluated in the next section.",
            alt="Receiver operating characteristic of the model and its baselines",
        ),
        blocks.Figure(
            svg=figures.precision_recall(evaluator.labels, scores),
            caption="Precision depends on the share of positives; the dotted line is chance.",
            alt="Precision against recall of the model and its baselines",
        ),
    ]
    table = blocks.facts(
        "How sure these numbers are",
        {
            "AUROC": metrics.get("auroc"),
            "Average precision": metrics.get("average_precision"),
            "Share of positives here, chance level of average precision": float(evaluator.labels.mean()),
        },
    )
    return document.Section("How well it ranks", "Without any threshold.", [blocks.Row(drawn), table])


def points(results: evaluate.Results, binary: evaluate_binary.Results) -> document.Section:
    """Show what each frozen threshold finds, misses and raises falsely."""
    evaluator, rows = results.evaluator, binary.points
    caption = "Images by true class and class predicted at the decision's threshold; shares of the true class."
    drawn = [
        classifier.confusion(results.common.confusion, evaluator.class_names, caption),
        blocks.Figure(
            svg=figures.score_histogram(
                evaluator.labels, evaluator.scores[:, 1], evaluator.class_names, threshold=rows[0]["threshold"]
            ),
            caption="How the calibrated scores of each true class lie.",
            alt="Histogram of scores by true class",
        ),
    ]
    lead = (
        "Every threshold was chosen on validation patients, before these images were looked at. Rule-out should "
        "miss almost no one, rule-in should raise almost no false alarm."
    )
    tables = [point_table(rows, "Threshold", _point_label), count_table(rows, "Threshold", _point_label)]
    return document.Section("At the frozen thresholds", lead, [blocks.Row(drawn), *tables, _prevalences(rows)])


def point_table(
    rows: Sequence[Mapping[str, Any]], title: str, label: Callable[[Mapping[str, Any]], str]
) -> blocks.Table:
    """Show the rates of operating points."""
    names = ("sensitivity", "specificity", "precision", "negative_predictive_value", "accuracy")
    return blocks.Table(
        columns=(title, "Score from", "Sensitivity", "Specificity", "PPV", "NPV", "Accuracy"),
        rows=[(label(row), row["threshold"], *(row[name] for name in names)) for row in rows],
        caption="What each frozen threshold does here, with its interval by patient.",
        align="lrrrrrr",
        emphasis=(0,) if title == "Threshold" else (),
    )


def count_table(
    rows: Sequence[Mapping[str, Any]], title: str, label: Callable[[Mapping[str, Any]], str]
) -> blocks.Table:
    """Show the counts of operating points."""
    return blocks.Table(
        columns=(title, "Positives found", "Positives missed", "Negatives cleared", "False alarms"),
        rows=[(label(row), *(row[name] for name in ("tp", "fn", "tn", "fp"))) for row in rows],
        caption=f"The same in images: the confusion matrix of each {title.lower()}.",
        align="lrrrr",
    )


def _point_label(point: Mapping[str, Any]) -> str:
    purpose = str(point["name"]).partition(" ")[0]
    return purpose if purpose == point["rule"] else f"{purpose} ({spaced(point['rule'])})"


def _prevalences(points: Sequence[Mapping[str, Any]]) -> blocks.Table:
    meanings = {"PPV": "precision", "NPV": "negative_predictive_value"}
    rows = [
        (f"{_point_label(point)}: {short}", *(row[name] for row in point["at_prevalence"]))
        for point in points
        for short, name in meanings.items()
        if point["at_prevalence"]
    ]
    return blocks.Table(
        columns=(
            "If this share of images were positive:",
            *(f"{100 * share:g} %" for share in evaluate_binary.PREVALENCES),
        ),
        rows=rows,
        caption="What a positive (PPV) and a negative prediction (NPV) mean elsewhere: sensitivity and specificity "
        "as found here, by Bayes' rule.",
        align="l" + "r" * len(evaluate_binary.PREVALENCES),
    )


def stability(binary: evaluate_binary.Results) -> document.Section:
    """Show how much the threshold depends on the validation patients, and what moving it would do."""
    content = binary.stability
    rules = [_rule_table(content)] if content.get("rules") else []
    return document.Section("How stable is the threshold?", _stability_lead(content), [_sweep_figure(content), *rules])


def _stability_lead(content: Mapping[str, Any]) -> str:
    sentences = [f"The threshold is {content['threshold']:.3f} ({spaced(content['rule'])})."]
    if "interval" in content:
        interval, reach = content["interval"], content["accuracy_range"]
        sentences.append(
            f"Other validation patients could have put it between {interval.low:.3f} and {interval.high:.3f}; "
            f"accuracy here would then be between {100 * reach['lowest']:.1f} and {100 * reach['highest']:.1f} %."
        )
    if "hindsight" in content:
        sentences.append(
            f"It gives {100 * content['accuracy']:.1f} %; the best threshold in hindsight, which nobody could have "
            f"chosen, gives {100 * content['hindsight']:.1f} %."
        )
    return " ".join(sentences)


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
                y_limits=(min(0.5, min(float(row["accuracy"].value) for row in sweep) - 0.02), 1.01),
                marks={"Frozen": 0.0},
            ),
        ),
        caption="What a moved threshold does. Another scanner or exposure that shifts all logits by one unit does the "
        "same as moving the threshold by one the other way: flat lines are safe, steep ones are not.",
        alt="Accuracy, sensitivity and specificity against the shift of the threshold",
    )


def _rule_table(content: Mapping[str, Any]) -> blocks.Table:
    return blocks.Table(
        columns=("Rule on the same validation patients", "Score from", "Accuracy", "Sensitivity", "Specificity"),
        rows=[
            (
                spaced(row["rule"]),
                *(row[name] for name in ("threshold", "accuracy", "sensitivity", "specificity")),
            )
            for row in content["rules"]
        ],
        caption="What other rules would have chosen, and what that would do here. The first is the one in use.",
        align="lrrrr",
        emphasis=(0,),
    )


def slope(binary: evaluate_binary.Results) -> blocks.Block:
    """Show calibration slope and intercept, or why there are none."""
    content = binary.slope
    if content["slope"] is None:
        return blocks.Text(f"There is no calibration slope: {content['why']}.")
    return blocks.Table(
        columns=("", "Ideal", "Here"),
        rows=[("Slope", 1, content["slope"]), ("Intercept", 0, content["intercept"])],
        caption="Calibration slope (below 1: too sure of itself) and calibration in the large (below 0: it announces "
        "more positives than there are). Cox 1958; Van Calster et al. 2016.",
        align="lrr",
        digits=2,
    )


def decision_curve(binary: evaluate_binary.Results) -> document.Section:
    """Show at which thresholds acting on the model is worth more than treating all or none."""
    rows = binary.decision_curve
    useful = net_benefit.useful_range(rows)
    figure = blocks.Figure(
        svg=curves.lines(
            [row["threshold"] for row in rows],
            {
                "Model": [row["model"] for row in rows],
                "Act on everyone": [_from(row["everyone"].value, LOWEST_BENEFIT) for row in rows],
                "Act on no one": [0.0 for _ in rows],
            },
            look=curves.Look(x_label="Threshold probability", y_label="Net benefit per image"),
        ),
        caption="Cases found per image, false alarms taken off at the rate that the threshold probability states "
        "(Vickers & Elkin 2006). Acting at 0.1 accepts nine false alarms for one case.",
        alt="Net benefit of the model, of acting on everyone and of acting on no one",
    )
    if useful is None:
        lead = "At no threshold probability is acting on the model clearly worth more than treating all alike."
    else:
        lead = (
            f"Acting on the model is clearly worth more than treating all alike at threshold probabilities from "
            f"{useful[0]:g} to {useful[1]:g}."
        )
    table = blocks.Table(
        columns=("Threshold probability", "Model", "Everyone", "Model minus the better of all and none"),
        rows=[(row["threshold"], row["model"], row["everyone"], row["gain"]) for row in rows],
        caption="Net benefit.",
        align="rrrr",
        digits=(2, 3, 3, 3),
    )
    return document.Section("Is it worth acting on?", lead, [figure, blocks.Details("All thresholds", [table])])


def _from(value: float, floor: float) -> float | None:
    """Leave out what would stretch the figure: acting on everyone falls without end."""
    return value if value >= floor else None


def spaced(rule: str) -> str:
    """Return a rule as a person writes it.

    >>> spaced("sensitivity>=0.95"), spaced("equal_margin")
    ('sensitivity ≥ 0.95', 'equal margin')
    """
    return rule.replace(">=", " ≥ ").replace("<=", " ≤ ").replace("_", " ")
