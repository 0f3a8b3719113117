"""The reports' figures: numbers in, one SVG out. Each says one thing and reads in black and white too."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import axes, ticker
from sklearn import metrics as sklearn_metrics

from shared.evaluation import intervals
from shared.report import drawing, formatting


@drawing.styled
def forest(rows: Mapping[str, intervals.Interval], *, axis_label: str, reference: float | None = None) -> str:
    """Draw values with their intervals, one labelled row each; the first row is the one the report is about.

    ``reference`` draws a vertical line, such as 0 for differences.
    """
    _demand_rows(rows)
    canvas = drawing.Canvas(height_pixels=76 + 34 * len(rows))
    plot = canvas.axes()
    for position, (label, row) in enumerate(rows.items()):
        colour = drawing.BASELINE if reference is None and position > 0 else drawing.SERIES[0]
        plot.hlines(position, row.low, row.high, color=colour, linewidth=2.4)
        point = plot.scatter([row.value], [position], s=38, color=colour, edgecolor=drawing.SURFACE, zorder=3)
        canvas.tooltip(point, [f"{label}: {formatting.with_bounds(row, signed=reference is not None)}"])
    if reference is not None:
        plot.axvline(reference, color=drawing.MUTED, linewidth=1, linestyle="--")
    _rows(plot, list(rows), axis_label=axis_label)
    return canvas.svg()


@drawing.styled
def bars(rows: Mapping[str, intervals.Interval | float], *, axis_label: str, digits: int = 3) -> str:
    """Draw horizontal bars, one labelled row each, with whiskers where a row carries an interval."""
    _demand_rows(rows)
    canvas = drawing.Canvas(height_pixels=70 + 24 * len(rows))
    plot = canvas.axes()
    for position, (label, row) in enumerate(rows.items()):
        value = row.value if isinstance(row, intervals.Interval) else float(row)
        bar = plot.barh(position, value, height=0.62, color=drawing.SERIES[0], alpha=0.75)[0]
        if isinstance(row, intervals.Interval):
            plot.hlines(position, row.low, row.high, color=drawing.INK, linewidth=1.6)
            canvas.tooltip(bar, [f"{label}: {formatting.with_bounds(row, digits=digits)}"])
        else:
            canvas.tooltip(bar, [f"{label}: {formatting.number(value, digits=digits)}"])
    _rows(plot, list(rows), axis_label=axis_label)
    return canvas.svg()


@drawing.styled
def reliability(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Draw how often predictions came true against the probability they announced; examples per bin below.

    Args:
        curves: For each labelled curve, its bins as ``calibration.reliability`` returns them.
    """
    canvas = drawing.Canvas(height_pixels=420)
    above, below = canvas.figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.plot([0, 1], [0, 1], color=drawing.MUTED, linewidth=1, linestyle=":")
    for number, (label, bins) in enumerate(curves.items()):
        _reliability_curve(canvas, above, bins, label=label, number=number)
        _bin_sizes(below, bins, number=number)
    above.set_ylabel("Share that came true")
    above.set_ylim(-0.02, 1.02)
    above.legend(loc="upper left")
    below.set_xlabel("Mean predicted probability")
    below.set_ylabel("Examples")
    return canvas.svg()


def _reliability_curve(
    canvas: drawing.Canvas, plot: axes.Axes, bins: Sequence[Mapping[str, float]], *, label: str, number: int
) -> None:
    announced = [row["mean_score"] for row in bins]
    observed = [row["observed"] for row in bins]
    colour, dash = drawing.look(number)
    ends = [row["low"] for row in bins], [row["high"] for row in bins]
    plot.vlines(announced, *ends, color=colour, linewidth=1.2, alpha=0.6)
    plot.plot(announced, observed, color=colour, linestyle=dash, label=label)
    points = plot.scatter(announced, observed, s=26, color=colour, edgecolor=drawing.SURFACE, zorder=3)
    canvas.tooltip(points, [f"{label}: {_bin_in_words(row)}" for row in bins])


def _bin_in_words(row: Mapping[str, float]) -> str:
    return f"predicted {row['mean_score']:.3f}, came true {row['observed']:.3f}, n {row['n']:,}"


def _bin_sizes(plot: axes.Axes, bins: Sequence[Mapping[str, float]], *, number: int) -> None:
    colour, dash = drawing.look(number)
    for row in bins:
        edges = (row["bin_low"], row["bin_high"])
        plot.stairs([row["n"]], edges, color=colour, alpha=0.14, fill=True)
        plot.stairs([row["n"]], edges, color=colour, linestyle=dash, linewidth=1.2)


@drawing.styled
def risk_coverage(curves: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], *, chosen: float | None = None) -> str:
    """Draw the error rate among the rows predicted against their share, the most confident first.

    Args:
        curves: For each labelled curve, coverage (k,) and risk (k,), both in [0, 1].
        chosen: The coverage of the abstention rule, drawn as a line.
    """
    canvas = drawing.Canvas()
    plot = canvas.axes()
    for number, (label, (coverage, risk)) in enumerate(curves.items()):
        _curve(canvas, plot, coverage, risk, label=label, number=number)
    if chosen is not None:
        line = plot.axvline(chosen, color=drawing.MUTED, linewidth=1, linestyle="--", label="Abstention rule")
        canvas.tooltip(line, [f"The abstention rule predicts {100 * chosen:.1f} % of the examples"])
    plot.set_xlabel("Coverage: share of examples predicted")
    plot.set_ylabel("Error rate among these")
    plot.set_xlim(0, 1.01)
    plot.set_ylim(bottom=0)
    plot.legend(loc="upper left")
    return canvas.svg()


@drawing.styled
def roc(y_true: npt.ArrayLike, scores: Mapping[str, npt.ArrayLike]) -> str:
    """Draw the receiver operating characteristic of each labelled score (n,) for labels (n,) in {0, 1}."""
    canvas = drawing.Canvas(height_pixels=400)
    plot = canvas.axes()
    plot.plot([0, 1], [0, 1], color=drawing.MUTED, linewidth=1, linestyle=":")
    for number, (label, score) in enumerate(scores.items()):
        false_positive_rate, true_positive_rate, _ = sklearn_metrics.roc_curve(y_true, score)
        _curve(canvas, plot, false_positive_rate, true_positive_rate, label=label, number=number)
    plot.set_xlabel("False positive rate (1 - specificity)")
    plot.set_ylabel("True positive rate (sensitivity)")
    _unit_square(plot)
    plot.legend(loc="lower right")
    return canvas.svg()


@drawing.styled
def precision_recall(y_true: npt.ArrayLike, scores: Mapping[str, npt.ArrayLike]) -> str:
    """Draw precision against recall of each labelled score (n,) for labels (n,) in {0, 1}; dotted: chance."""
    canvas = drawing.Canvas(height_pixels=400)
    plot = canvas.axes()
    prevalence = float(np.mean(np.asarray(y_true)))
    chance = plot.axhline(prevalence, color=drawing.MUTED, linewidth=1, linestyle=":")
    canvas.tooltip(chance, [f"Chance: the prevalence, {prevalence:.3f}"])
    for number, (label, score) in enumerate(scores.items()):
        precision, recall, _ = sklearn_metrics.precision_recall_curve(y_true, score)
        _curve(canvas, plot, recall, precision, label=label, number=number)
    plot.set_xlabel("Recall (sensitivity)")
    plot.set_ylabel("Precision")
    _unit_square(plot)
    plot.legend(loc="lower left")
    return canvas.svg()


@drawing.styled
def score_histogram(
    y_true: npt.ArrayLike, score: npt.ArrayLike, class_names: Sequence[str], *, threshold: float | None = None
) -> str:
    """Draw how the scores (n,) in [0, 1] of each true class lie, and the threshold between decisions."""
    canvas = drawing.Canvas()
    plot = canvas.axes()
    labels, values = np.asarray(y_true), np.asarray(score)
    for number, name in enumerate(class_names):
        counts, edges = np.histogram(values[labels == number], bins=30, range=(0.0, 1.0))
        colour, dash = drawing.look(number)
        plot.stairs(counts, edges, color=colour, alpha=0.16, fill=True)
        plot.stairs(counts, edges, color=colour, linewidth=1.6, linestyle=dash, label=drawing.shortened(name))
    if threshold is not None:
        line = plot.axvline(threshold, color=drawing.INK, linewidth=1, linestyle="--", label="Threshold")
        canvas.tooltip(line, [f"Threshold {threshold:.3f}"])
    plot.set_xlabel("Score")
    plot.set_ylabel("Examples")
    plot.set_xlim(0, 1)
    drawing.legend_above(plot)
    return canvas.svg()


@drawing.styled
def confusion(matrix: npt.ArrayLike, class_names: Sequence[str]) -> str:
    """Draw counts (C, C): true class by row, predicted by column, shaded by the share of the true class."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # Percentages and names of neighbouring columns must not meet.
    many = len(class_names) > 5
    width = 130 + 66 * len(class_names) if many else 410
    canvas = drawing.Canvas(width_pixels=width, height_pixels=(150 if many else 110) + 64 * len(class_names))
    plot = canvas.axes()
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        # At most 0.5 opaque, so that the ink of either theme stays readable on it.
        shade = {"color": drawing.SERIES[0], "alpha": 0.5 * share}
        cell = plot.bar(column, 0.96, width=0.96, bottom=row - 0.48, **shade)[0]
        percent = f"{100 * share:.1f} %"
        canvas.tooltip(cell, [f"True {class_names[row]}, predicted {class_names[column]}: {count:,} ({percent})"])
        plot.text(column, row - 0.12, f"{count:,}", ha="center", va="center", fontsize=15)
        plot.text(column, row + 0.2, percent, ha="center", va="center")
    names = [drawing.shortened(name, characters=18) for name in class_names]
    plot.set_xticks(range(len(names)), names, rotation=30 if many else 0, ha="right" if many else "center")
    plot.set_yticks(range(len(names)), names)
    plot.set_xlim(-0.5, len(class_names) - 0.5)
    plot.set_ylim(len(class_names) - 0.5, -0.5)
    plot.set_xlabel("Predicted class")
    plot.set_ylabel("True class")
    plot.grid(visible=False)
    plot.spines[:].set_visible(False)
    return canvas.svg()


@drawing.styled
def training_history(
    epochs: Sequence[int], panels: Mapping[str, Mapping[str, npt.ArrayLike]], *, best_epoch: int | None = None
) -> str:
    """Draw what training saw: one panel per quantity, in it one line per labelled column over epochs (e,)."""
    canvas = drawing.Canvas(height_pixels=60 + 190 * len(panels))
    plots = canvas.figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for plot, (title, columns) in zip(plots, panels.items(), strict=True):
        for number, (label, values) in enumerate(columns.items()):
            colour, dash = drawing.look(number)
            plot.plot(epochs, values, color=colour, linestyle=dash, marker=".", label=label)
            drawing.show_values(
                canvas, plot, np.asarray(epochs, np.float64), np.asarray(values, np.float64), label=label
            )
        if best_epoch is not None:
            kept = "Kept epoch" if plot is plots[0] else None
            plot.axvline(best_epoch, color=drawing.MUTED, linewidth=1, linestyle=":", label=kept)
        plot.set_ylabel(title)
        drawing.legend_above(plot)
    plots[-1].set_xlabel("Epoch")
    plots[-1].xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    return canvas.svg()


def _curve(
    canvas: drawing.Canvas, plot: axes.Axes, x: npt.ArrayLike, y: npt.ArrayLike, *, label: str, number: int
) -> None:
    across, up = drawing.thinned(np.asarray(x, float), np.asarray(y, float))
    colour, dash = drawing.look(number)
    plot.plot(across, up, color=colour, linestyle=dash, label=drawing.shortened(label))
    drawing.show_values(canvas, plot, across, up, label=label)


def _rows(plot: axes.Axes, labels: Sequence[str], *, axis_label: str) -> None:
    """Label one row per entry, the first on top."""
    plot.set_yticks(range(len(labels)), [drawing.shortened(label) for label in labels])
    plot.set_ylim(len(labels) - 0.5, -0.5)
    # Flush right, a long label may reach left under the row labels instead of out of the figure.
    plot.set_xlabel(axis_label, loc="right")
    plot.grid(visible=False, axis="y")


def _demand_rows(rows: Mapping[str, object]) -> None:
    if not rows:
        raise ValueError("expected at least one row to draw. Received: none")


def _unit_square(plot: axes.Axes) -> None:
    plot.set_xlim(-0.01, 1.01)
    plot.set_ylim(-0.01, 1.01)
    plot.set_aspect("equal")
