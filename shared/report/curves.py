"""Lines over a common axis: decision curves, moved thresholds, growing corruption. Numbers in, one SVG out."""

import types
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import axes, ticker

from shared.evaluation import intervals
from shared.report import drawing, formatting


class Look(NamedTuple):
    """What surrounds the lines of `lines`.

    Attributes:
        x_label: Of the horizontal axis, with its unit.
        y_label: Of the vertical axis.
        y_limits: Ends of the vertical axis; None: as the data need.
        marks: Vertical lines by label, such as the threshold in use.
        whole: Whether the horizontal axis counts, so that its ticks are whole numbers.
    """

    x_label: str
    y_label: str
    y_limits: tuple[float, float] | None = None
    marks: Mapping[str, float] = types.MappingProxyType({})
    whole: bool = False


Curve = Sequence[intervals.Interval | float | None]


@drawing.styled
def lines(x: Sequence[float], curves: Mapping[str, Curve], *, look: Look) -> str:
    """Draw each labelled curve over ``x`` (k,), with a band where its points carry intervals.

    A point that is None is left out.

    Raises:
        ValueError: No curve, or one that is not as long as ``x``.
    """
    if not curves or any(len(curve) != len(x) for curve in curves.values()):
        lengths = [len(curve) for curve in curves.values()]
        raise ValueError(f"curves: expected at least one of {len(x)} points. Received: {lengths}")
    canvas = drawing.Canvas(width_pixels=640, height_pixels=330)
    plot = canvas.axes()
    for label, place in look.marks.items():
        mark = plot.axvline(place, color=drawing.INK, linewidth=1, linestyle="--", label=label)
        canvas.tooltip(mark, [f"{label}: {formatting.number(place)}"])
    for number, (label, curve) in enumerate(curves.items()):
        _curve(
            canvas, plot, [(at, point) for at, point in zip(x, curve, strict=True) if point is not None], label, number
        )
    plot.set_xlabel(look.x_label)
    plot.set_ylabel(look.y_label)
    if look.y_limits is not None:
        plot.set_ylim(*look.y_limits)
    if look.whole:
        plot.xaxis.set_major_locator(ticker.MaxNLocator(integer=True, min_n_ticks=1))
    plot.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=5, columnspacing=1.2, handlelength=1.6)
    return canvas.svg()


def _curve(
    canvas: drawing.Canvas,
    plot: axes.Axes,
    points: Sequence[tuple[float, intervals.Interval | float]],
    label: str,
    number: int,
) -> None:
    colour, dash = drawing.look(number)
    up = [point.value if isinstance(point, intervals.Interval) else float(point) for _, point in points]
    plot.plot([at for at, _ in points], up, color=colour, linestyle=dash, label=drawing.shortened(label))
    drawing.show_values(
        canvas, plot, np.asarray([at for at, _ in points], np.float64), np.asarray(up, np.float64), label=label
    )
    banded = [(at, point) for at, point in points if isinstance(point, intervals.Interval)]
    ends = [point.low for _, point in banded], [point.high for _, point in banded]
    plot.fill_between([at for at, _ in banded], *ends, color=colour, alpha=0.13, linewidth=0)
