"""Figures: right positions, the page's colours, the same bytes, ids of their own."""

import importlib.resources
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from shared.evaluation import intervals, miscalibration
from shared.report import drawing, figures

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</a><b>$x_1$&\"'"

RANDOM = np.random.default_rng(7)
LABELS = RANDOM.integers(0, 2, 500)
SCORES = np.clip(0.25 + 0.5 * LABELS + RANDOM.normal(0, 0.2, 500), 0, 1)
ROWS = {
    HOSTILE: intervals.Interval(0.9, 0.85, 0.95),
    "b": intervals.Interval(0.7, 0.6, 0.8),
    "c": intervals.Interval(0.5, 0.4, 0.6),
}

DRAWN = {
    "forest": lambda: figures.forest(ROWS, axis_label="AUROC"),
    "forest of differences": lambda: figures.forest(ROWS, axis_label="AUROC", reference=0.0),
    "bars": lambda: figures.bars({**ROWS, "plain": 0.3}, axis_label="Failure rate"),
    "reliability": lambda: figures.reliability({HOSTILE: miscalibration.reliability(LABELS, SCORES)}),
    "risk_coverage": lambda: figures.risk_coverage({HOSTILE: ([0.1, 1.0], [0.0, 0.2])}, chosen=0.8),
    "roc": lambda: figures.roc(LABELS, {HOSTILE: SCORES}),
    "precision_recall": lambda: figures.precision_recall(LABELS, {HOSTILE: SCORES}),
    "score_histogram": lambda: figures.score_histogram(LABELS, SCORES, ["no", HOSTILE], threshold=0.4),
    "confusion": lambda: figures.confusion([[50, 3], [0, 0]], ["no", HOSTILE]),
    "training_history": lambda: figures.training_history([1, 2], {"Loss": {HOSTILE: [2, 1]}}, best_epoch=2),
}  # fmt: skip


@pytest.fixture(params=DRAWN)
def draw(request):
    return DRAWN[request.param]


def tooltips(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def markers(svg):
    """(x, y) of every marker that carries a tooltip."""
    uses = ElementTree.fromstring(svg).iter(f"{SVG}use")
    return [(float(use.attrib["x"]), float(use.attrib["y"])) for use in uses if use.find(f"{SVG}title") is not None]


def test_a_figure_is_well_formed_text_stays_text_and_hostile_names_are_inert(draw):
    root = ElementTree.fromstring(draw())
    assert not {f"{SVG}script", f"{SVG}style", f"{SVG}image"} & {element.tag for element in root.iter()}
    assert any(HOSTILE in (text.text or "") for text in root.iter(f"{SVG}text"))


def test_every_colour_follows_the_theme(draw):
    colours = re.findall(r"(?:fill|stroke): ([^;\"]+)", draw())
    assert colours
    assert all(colour == "none" or colour.startswith("var(--") for colour in colours), set(colours)


def test_the_light_theme_has_the_colours_that_a_figure_falls_back_to():
    css = (importlib.resources.files("shared.report") / "templates" / "report.css").read_text("utf-8")
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)", 1)
    for colour, name in drawing.VARIABLES.items():
        assert f"{name}: {colour};" in light
        assert f"{name}: #" in dark


def test_the_same_numbers_give_the_same_bytes_whatever_the_users_settings(draw):
    first = draw()
    with matplotlib.rc_context(
        {"lines.linewidth": 9.0, "font.size": 30.0, "axes.grid": False, "svg.hashsalt": "other"}
    ):
        assert draw() == first


def test_names_in_any_script_are_drawn_without_a_warning():
    assert "字幕 फ़िल्म" in figures.forest({"字幕 फ़िल्म": ROWS["b"]}, axis_label="精度")


def test_no_figure_prints_a_date_or_version(draw):
    assert "matplotlib" not in draw().lower()


def test_isolated_ids_carry_the_prefix_and_references_follow():
    svg = drawing.isolate(DRAWN["roc"](), prefix="f7-", label=HOSTILE)
    root = ElementTree.fromstring(svg)
    names = [name for element in root.iter() if (name := element.get("id"))]
    assert names
    assert all(name.startswith("f7-") for name in names)
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(names)
    assert (root.get("role"), root.get("aria-label")) == ("img", HOSTILE)


def test_forest_points_lie_in_proportion_to_their_values_the_first_on_top():
    (x_a, y_a), (x_b, y_b), (x_c, y_c) = markers(DRAWN["forest"]())
    # 0.9, 0.7, 0.5 are evenly spaced; SVG's y grows downwards.
    assert x_a - x_b == pytest.approx(x_b - x_c, abs=1e-3)
    assert x_a > x_b
    assert y_a < y_b < y_c


def test_reliability_points_lie_where_their_bins_say():
    table = miscalibration.reliability(LABELS, SCORES, bins=5)
    points = markers(figures.reliability({"Model": table}))
    x_scale, _ = np.polyfit([row["mean_score"] for row in table], [x for x, _ in points], 1)
    y_scale, _ = np.polyfit([row["observed"] for row in table], [y for _, y in points], 1)
    predicted = [(row["mean_score"] - table[0]["mean_score"]) * x_scale for row in table]
    assert [x - points[0][0] for x, _ in points] == pytest.approx(predicted, abs=1e-3)
    assert x_scale > 0 > y_scale


def test_tooltips_tell_the_numbers():
    assert f"{HOSTILE}: 0.900 (95 % CI 0.850–0.950)" in tooltips(DRAWN["forest"]())
    assert "b: +0.700 (95 % CI +0.600 to +0.800)" in tooltips(DRAWN["forest of differences"]())
    assert "True no, predicted no: 50 (94.3 %)" in tooltips(DRAWN["confusion"]())
    assert "Threshold 0.400" in tooltips(DRAWN["score_histogram"]())
    assert len(tooltips(DRAWN["bars"]())) == 4


def test_a_long_curve_is_thinned_without_moving_it():
    scores = RANDOM.normal(size=50_000)
    labels = (scores + RANDOM.normal(size=50_000) > 0).astype(int)
    rate, hits, _ = sklearn_metrics.roc_curve(labels, scores)
    x, y = drawing.thinned(rate, hits)
    assert len(x) <= 402 < len(rate)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(np.trapezoid(hits, rate), abs=1e-3)


def test_more_series_than_colours_still_draw():
    assert figures.roc([0, 1], {str(number): [0.2, 0.7] for number in range(9)})


@pytest.mark.parametrize("draw_rows", [figures.forest, figures.bars])
def test_a_figure_of_no_rows_is_refused(draw_rows):
    with pytest.raises(ValueError, match="at least one row"):
        draw_rows({}, axis_label="x")
