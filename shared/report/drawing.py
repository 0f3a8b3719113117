"""The canvas that every figure is drawn on, and its way to SVG that follows the page's light or dark theme.

Matplotlib draws in the colours of the light theme; in the SVG each becomes a CSS variable with that colour as
its fallback. So one figure suits both themes, print, and a file of its own. Text stays text: it is found by a
search and takes the page's font.
"""

import functools
import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from matplotlib import axes, figure, style

INK, MUTED, RULE, SURFACE = "#1c2126", "#5c6670", "#dce1e6", "#ffffff"
# After Okabe and Ito (2008), https://jfly.uni-koeln.de/color/: apart under every common colour blindness.
SERIES = ("#0b6aa8", "#d2590f", "#0a8f6c", "#b0568a", "#b58200", "#4a9fd4")
BASELINE = "#7b8691"

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    SURFACE: "--surface",
    BASELINE: "--baseline",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)},
}
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 12,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.unicode_minus": True,
    "figure.constrained_layout.use": True,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
}
# Points of a curve that show their values: each is some 100 bytes of the page.
_HOVERED = 24
_DASHES = ("-", "--", ":", "-.")
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"

Curve: TypeAlias = npt.NDArray[np.float64]
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class Artist(Protocol):
    """What matplotlib can put a group id on."""

    def set_gid(self, gid: str | None) -> None:
        """Name the SVG group that the artist is drawn as."""


def styled(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Run ``function`` under the reports' matplotlib style, whatever the user's own settings are."""

    @functools.wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        with style.context(["default", _STYLE]), warnings.catch_warnings():
            # Only measured in this font: the page draws the text, in a font that has the character.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            return function(*args, **kwargs)

    return call


def look(number: int) -> tuple[str, str]:
    """Return the colour and the dashes of the ``number``-th series, from 0: told apart without colour too.

    >>> look(1)
    ('#d2590f', '--')
    """
    return SERIES[number % len(SERIES)], _DASHES[number % len(_DASHES)]


def shortened(text: str, *, characters: int = 34) -> str:
    """Return ``text`` cut to what fits beside a plot.

    >>> shortened("a long label", characters=6)
    'a lon…'
    """
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def thinned(x: Curve, y: Curve, *, points: int = 400) -> tuple[Curve, Curve]:
    """Keep at most some ``points`` of a curve, evenly along its way: 100,000 are megabytes that nobody sees.

    The first and the last point stay.

    >>> thinned(np.arange(5.0), np.zeros(5), points=3)[0]
    array([0., 2., 4.])
    """
    if len(x) <= points:
        return x, y
    walked = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.searchsorted(walked, np.linspace(0.0, walked[-1], points))
    kept = np.unique(np.concatenate([[0], kept, [len(x) - 1]]))
    return x[kept], y[kept]


def legend_above(plot: axes.Axes) -> None:
    """Put the legend over the plot, where it hides no line."""
    plot.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, columnspacing=1.2, handlelength=1.6)


class Canvas:
    """A figure of a fixed size in CSS pixels, the tooltips of its artists, and its SVG."""

    def __init__(self, *, width_pixels: int = 410, height_pixels: int = 330) -> None:
        """Begin an empty figure; 72 dots per inch make a point one CSS pixel."""
        self.figure = figure.Figure(figsize=(width_pixels / 72, height_pixels / 72))
        self._tooltips: list[Sequence[str]] = []

    def axes(self) -> axes.Axes:
        """Return the figure's only axes."""
        return self.figure.add_subplot()

    def tooltip(self, artist: Artist, texts: Sequence[str]) -> None:
        """Show ``texts`` on hover: one for the whole artist, or one for each of its markers in order."""
        artist.set_gid(f"tooltip-{len(self._tooltips)}")
        self._tooltips.append(texts)

    def svg(self) -> str:
        """Return the figure as SVG: equal drawings give equal bytes."""
        stream = io.StringIO()
        self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
        root = ElementTree.fromstring(_themed(stream.getvalue()))
        for number, texts in enumerate(self._tooltips):
            _add_tooltips(root, f"tooltip-{number}", texts)
        _tidy(root)
        return _serialised(root)


def show_values(canvas: Canvas, plot: axes.Axes, x: Curve, y: Curve, *, label: str) -> None:
    """Let some points of a curve, evenly along its way, show their values on hover; the points cannot be seen."""
    across, up = thinned(x, y, points=_HOVERED)
    held = np.isfinite(across) & np.isfinite(up)
    points = plot.scatter(across[held], up[held], s=90, color=MUTED, alpha=0, zorder=4)
    pairs = zip(across[held].tolist(), up[held].tolist(), strict=True)
    canvas.tooltip(points, [f"{label}: {right:.3g}, {value:.3g}" for right, value in pairs])


def isolate(svg: str, *, prefix: str, label: str) -> str:
    """Return ``svg`` with a label for screen readers and ids that are its own on the page."""
    root = ElementTree.fromstring(svg)
    root.set("role", "img")
    root.set("aria-label", label)
    # What the page's style keeps it readable by: a figure that is scaled down too far cannot be read.
    root.set("style", f"--width: {float(root.get('width', '410')):g}px; {root.get('style', '')}")
    for element in root.iter():
        if "id" in element.attrib:
            element.set("id", prefix + element.attrib["id"])
        for name, value in element.attrib.items():
            element.set(name, _prefixed(name, value, prefix))
    return _serialised(root)


def _prefixed(name: str, value: str, prefix: str) -> str:
    if name.rpartition("}")[2] == "href" and value.startswith("#"):
        return f"#{prefix}{value[1:]}"
    return value.replace("url(#", f"url(#{prefix}")


def _themed(svg: str) -> str:
    for colour, variable in VARIABLES.items():
        svg = svg.replace(f": {colour}", f": var({variable}, {colour})")
    return re.sub(r"font-family: [^;\"]*;?", "", svg)


def _add_tooltips(root: ElementTree.Element, gid: str, texts: Sequence[str]) -> None:
    group = root.find(f".//*[@id='{gid}']")
    if group is None:
        return
    markers = group.findall(f".//{{{_SVG}}}use")
    targets = markers if len(markers) == len(texts) > 0 else [group]
    for target, text in zip(targets, texts, strict=False):
        title = ElementTree.Element(f"{{{_SVG}}}title")
        title.text = text
        target.insert(0, title)


def _tidy(root: ElementTree.Element) -> None:
    """Drop what a page has no use for: metadata, unused ids, and a style rule that would reach the page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
    used = _references(root)
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        if element.text is not None and not element.text.strip():
            element.text = None
        element.tail = None
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib |= {"width": width, "height": height, "style": "stroke-linejoin: round; font-family: inherit"}


def _references(root: ElementTree.Element) -> set[str]:
    values = [value for element in root.iter() for value in element.attrib.values()]
    urls = {match for value in values for match in re.findall(r"url\(#([^)]+)\)", value)}
    return urls | {element.get(f"{{{_XLINK}}}href", "")[1:] for element in root.iter()}


def _serialised(root: ElementTree.Element) -> str:
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")
