"""What a report is made of: frozen blocks, free of markup; the templates draw them.

Every text is escaped when drawn. Only ``Html`` and the SVG of a ``Figure`` go to the page as they are.
"""

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from shared.evaluation import intervals

Tone = Literal["", "good", "caution", "bad"]


@dataclasses.dataclass(frozen=True)
class Html:
    """Markup that the caller vouches for; everything else on the page is escaped."""

    markup: str
    kind: ClassVar[str] = "html"


Cell = str | int | float | intervals.Interval | Html | None


@dataclasses.dataclass(frozen=True)
class Tile:
    """One headline number; ``note`` says in a few words what it means, ``signed`` is for differences."""

    label: str
    value: Cell
    note: str = ""
    digits: int = 3
    signed: bool = False


@dataclasses.dataclass(frozen=True)
class Text:
    """Paragraphs, separated by blank lines. A ``tone`` sets them off from the rest as a callout."""

    text: str
    tone: Tone = ""
    kind: ClassVar[str] = "text"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A table; units belong into the column labels.

    Attributes:
        align: One letter per column, ``l`` or ``r``; empty: columns of numbers right, the rest left.
        digits: Decimals of floats and intervals, for all columns or one number per column.
        signed: Whether positive numbers carry a plus, as differences should.
        emphasis: Indices of the rows to stress.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    align: str = ""
    digits: int | Sequence[int] = 3
    signed: bool = False
    emphasis: Sequence[int] = ()
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        """Refuse a row that would shift cells under a wrong heading."""
        width = len(self.columns)
        for index, row in enumerate(self.rows):
            if len(row) != width:
                raise ValueError(f"{self.caption}: expected {width} cells in row {index}. Received: {len(row)}")
        for name, setting in (("align", self.align or "l" * width), ("digits", self.decimals)):
            if len(setting) != width:
                raise ValueError(f"{self.caption}: expected {name} for {width} columns. Received: {setting!r}")

    @property
    def alignment(self) -> str:
        """One letter per column."""
        if self.align or not self.rows:
            return self.align or "l" * len(self.columns)
        return "".join(_alignment(column) for column in zip(*self.rows, strict=True))

    @property
    def decimals(self) -> Sequence[int]:
        """Decimals per column."""
        return [self.digits] * len(self.columns) if isinstance(self.digits, int) else self.digits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A vector figure from ``figures``; ``alt`` tells someone who cannot see it what it shows."""

    svg: str
    caption: str
    alt: str
    kind: ClassVar[str] = "figure"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quote:
    """A raw input, such as a review, with labelled facts about it."""

    text: str
    facts: Mapping[str, Cell] = dataclasses.field(default_factory=dict)
    tone: Tone = ""
    kind: ClassVar[str] = "quote"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Highlight:
    """A text whose tokens are tinted by weight.

    Attributes:
        tokens: (token, weight) pairs in reading order; a token carries its own spaces.
        toward: What a positive weight speaks for, such as a class name.
        against: What a negative weight speaks for.
    """

    tokens: Sequence[tuple[str, float]]
    caption: str
    toward: str
    against: str
    kind: ClassVar[str] = "highlight"

    @property
    def tinted(self) -> list[tuple[str, float, float]]:
        """(token, weight, tint), the tint in [-1, 1] relative to the largest weight of the text."""
        largest = max((abs(weight) for _, weight in self.tokens), default=0.0) or 1.0
        return [(token, weight, weight / largest) for token, weight in self.tokens]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A raster image with labelled facts about it.

    Attributes:
        source: ``data:image/png;base64,...``: the page loads nothing.
        alt: What the picture is, for someone who cannot see it.
    """

    source: str
    alt: str
    facts: Mapping[str, Cell] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what the page could not show."""
        if not self.source.startswith("data:image/"):
            raise ValueError(f"source: expected data:image/... Received: {self.source[:40]!r}")


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures in a grid, under one caption; ``wide`` ones are shown larger, in their own shape."""

    caption: str
    pictures: Sequence[Picture]
    wide: bool = False
    kind: ClassVar[str] = "pictures"


@dataclasses.dataclass(frozen=True)
class Row:
    """Blocks side by side where the page is wide enough, one below the other where it is not."""

    blocks: Sequence["Block"]
    kind: ClassVar[str] = "row"


@dataclasses.dataclass(frozen=True)
class Details:
    """Blocks folded away behind a line to click; printed unfolded."""

    summary: str
    blocks: Sequence["Block"]
    kind: ClassVar[str] = "details"


Block = Text | Table | Figure | Html | Quote | Highlight | Pictures | Row | Details


def data_address(content: bytes, *, kind: str) -> str:
    """Return an image file as the address of a `Picture`; ``kind`` is ``png`` or ``jpeg``.

    >>> data_address(b"abc", kind="png")
    'data:image/png;base64,YWJj'
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def facts(caption: str, content: Mapping[str, Cell]) -> Table:
    """Return names and values as a table of two columns.

    >>> facts("Data", {"Rows": 3}).rows
    [('Rows', 3)]
    """
    return Table(columns=("", ""), rows=list(content.items()), caption=caption, align="ll")


def _alignment(column: Sequence[Cell]) -> str:
    return "l" if any(isinstance(cell, str | Html) for cell in column) else "r"
