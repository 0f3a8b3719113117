"""Report sections that several apps use: the data evaluated, the split certificate, the training, the limits."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from shared.evaluation import intervals
from shared.report import blocks, document, figures, formatting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """What the rows evaluated are.

    Attributes:
        source: Name of the data set.
        split: Part evaluated, "all" where the data are not the run's own.
        unit: What is kept together and resampled, in words.
        sha256: Of the content.
        synthetic: Whether the rows are simulated, which the report then says everywhere.
        quarantined: Rows set aside before the split.
        protocol: How the parts were made, in a sentence; may be empty.
        certificate: The split certificate (``split.json``); empty for data that are not the run's own.
        details: What else is known: name -> text.
        notes: What the reader of the source found.
    """

    source: str
    split: str
    unit: str
    sha256: str
    synthetic: bool = False
    quarantined: int = 0
    protocol: str = ""
    certificate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    details: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()

    def content(self, *, n: int, n_units: int) -> dict[str, Any]:
        """Return what ``metrics.json`` says of them."""
        return {
            "source": self.source,
            "split": self.split,
            "n": n,
            "unit": self.unit,
            "n_units": n_units,
            "sha256": self.sha256,
            "own": bool(self.certificate),
        }


def data(found: Data, counts: Mapping[str, blocks.Cell]) -> blocks.Table:
    """Show which rows were evaluated; ``counts`` says how many of what."""
    return blocks.facts(
        "Data",
        {
            "Source": found.source,
            "Part evaluated": found.split,
            **counts,
            "Split unit": found.unit,
            "SHA-256": found.sha256,
        },
    )


def certificate(
    content: Mapping[str, Any],
    columns: tuple[str, str],
    *,
    before: Sequence[tuple[str, int]] = (),
    claim: str = "no unit and no row is in two parts",
) -> list[blocks.Block]:
    """Show the split certificate, and the counts by class where it holds them; nothing without one.

    Args:
        content: The certificate; may be empty.
        columns: What rows and units are called.
        before: What was left out before the split, with its number of rows.
        claim: What the certificate proves.
    """
    if not content:
        return []
    counts: Mapping[str, Any] = content["counts"]
    names = list(next(iter(counts.values())).get("classes", {}))
    rows: list[tuple[blocks.Cell, ...]] = [(label, number, None, *(None for _ in names)) for label, number in before]
    rows += [
        (part.capitalize(), each["rows"], each["units"], *(each.get("classes", {}).get(name) for name in names))
        for part, each in counts.items()
    ]
    return [
        blocks.Table(
            columns=("Part", *columns, *names),
            rows=rows,
            caption=f"The split certificate ({content['method']}): {claim}.",
            align="l" + "r" * (2 + len(names)),
        )
    ]


def networks(
    together: Mapping[str, intervals.Interval],
    members: Mapping[str, Mapping[str, intervals.Interval]],
    names: Sequence[str],
    *,
    rows: str,
) -> list[blocks.Block]:
    """Show the networks of an ensemble, each alone; nothing where there is one.

    Args:
        together: The ensemble's metrics.
        members: Those of each network.
        names: The metrics shown.
        rows: What rows are called.
    """
    if len(members) < 2:
        return []
    groups = {"All together": together, **members}
    return [
        blocks.Table(
            columns=("Network", *map(formatting.metric_name, names)),
            rows=[(label, *(found.get(name) for name in names)) for label, found in groups.items()],
            caption=f"Each network alone, on the same {rows}.",
            align="l" + "r" * len(names),
            emphasis=(0,),
        )
    ]


def histories(
    table: pd.DataFrame, *, metric: str = "Validation metric", newest: int | None = None
) -> list[blocks.Block]:
    """Draw ``history.csv``, each network by itself; its phases follow one another.

    Args:
        table: One row per network and epoch; may be empty.
        metric: What the validation metric is called.
        newest: Draw the last so many networks only.
    """
    if "network" not in table:
        return _history(table, "Training by epoch.", metric)
    trained = list(table["network"].unique())
    shown = trained if newest is None else trained[-newest:]
    return [
        figure
        for name in shown
        for figure in _history(
            table[table["network"] == name],
            "Training by epoch." if len(trained) == 1 else f"Training of network {name} by epoch.",
            metric,
        )
    ]


def _history(table: pd.DataFrame, caption: str, metric: str) -> list[blocks.Block]:
    """Draw one network's epochs; the one kept is that of the best validation metric."""
    epochs = list(range(1, len(table) + 1))
    columns = {"training": "loss", "validation": "validation_loss"}
    # A GAN's training has no validation loss.
    losses = {label: table[name].to_numpy() for label, name in columns.items() if _complete(table, name)}
    panels = {"Loss": losses} if losses else {}
    best = None
    if _complete(table, "validation_metric"):
        panels[metric] = {"validation": table["validation_metric"].to_numpy()}
        best = epochs[int(table["validation_metric"].to_numpy().argmax())]
    if not panels:
        return []
    if len(epochs) == 1:
        # One point is no curve: axes around it would look empty.
        values = {
            f"{title}, {label}": float(column[0])
            for title, columns in panels.items()
            for label, column in columns.items()
        }
        return [blocks.facts(f"{caption} One epoch.", values)]
    svg = figures.training_history(epochs, panels, best_epoch=best)
    return [blocks.Figure(svg=svg, caption=caption, alt=f"Loss and {metric.lower()} by epoch")]


def _complete(table: pd.DataFrame, column: str) -> bool:
    return column in table and not table.empty and bool(table[column].notna().all())


def limits(texts: Sequence[str], *more: blocks.Block, title: str = "Limits") -> document.Section:
    """Show what the numbers do not say."""
    warnings = [blocks.Text(text, tone="caution") for text in texts]
    return document.Section(title, "What these numbers do not say.", [*warnings, *more])
