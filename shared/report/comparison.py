"""The first thing every report shows: the model beside its baselines, as a table and as forest plots."""

from collections.abc import Mapping
from typing import Any

from shared.evaluation import intervals
from shared.report import blocks, figures, formatting

MODEL = "Model"

Groups = Mapping[str, Mapping[str, Any]]  # label -> metric -> an interval as plain JSON


def blocks_of(document: Mapping[str, Any], *, labels: Mapping[str, str]) -> list[blocks.Block]:
    """Return the comparison that a metrics document holds: forest plots first, then the tables.

    ``labels`` gives baselines the names that a reader should see.
    """
    headline = next(iter(document["metrics"]))
    values = {MODEL: document["metrics"], **_relabelled(document["baselines"], labels)}
    differences = _relabelled(document["differences"], labels)
    forests: list[blocks.Block] = [_forest(_column(values, headline), headline)]
    tables: list[blocks.Block] = [_metrics_table(values)]
    if any(headline in group for group in differences.values()):
        forests.append(_difference_forest(_column(differences, headline), headline))
    if any(differences.values()):
        tables.append(_difference_table(differences, headline))
    return [blocks.Row(forests), *tables]


def _relabelled(groups: Groups, labels: Mapping[str, str]) -> Groups:
    return {labels.get(name) or formatting.metric_name(name): group for name, group in groups.items()}


def _column(groups: Groups, name: str) -> dict[str, intervals.Interval]:
    held = {label: group[name] for label, group in groups.items() if name in group}
    return {label: intervals.Interval.from_json(content) for label, content in held.items()}


def _forest(rows: Mapping[str, intervals.Interval], headline: str) -> blocks.Figure:
    name = formatting.metric_name(headline)
    return blocks.Figure(
        svg=figures.forest(rows, axis_label=name),
        caption=f"{name} with its {formatting.confidence(rows[MODEL])} interval.",
        alt=f"{name}: {_spoken(rows)}",
    )


def _difference_forest(rows: Mapping[str, intervals.Interval], headline: str) -> blocks.Figure:
    name = formatting.metric_name(headline)
    return blocks.Figure(
        svg=figures.forest(rows, axis_label=f"{name}, model minus baseline", reference=0.0),
        caption=f"Paired difference in {name}. An interval that leaves out 0 is a clear difference.",
        alt=f"Difference in {name}, model minus baseline: {_spoken(rows, signed=True)}",
    )


def _metrics_table(groups: Groups) -> blocks.Table:
    names = list(groups[MODEL])
    return blocks.Table(
        columns=("", *(_with_direction(name) for name in names)),
        rows=[(label, *_cells(group, names)) for label, group in groups.items()],
        caption="The model and its baselines, each value with its interval. ↓: lower is better.",
        align="l" + "r" * len(names),
        emphasis=(0,),
    )


def _difference_table(groups: Groups, headline: str) -> blocks.Table:
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    return blocks.Table(
        columns=(
            "Model minus",
            f"By {formatting.metric_name(headline)}",
            *map(_with_direction, names),
        ),
        rows=[(label, _direction(group, headline), *_cells(group, names)) for label, group in groups.items()],
        caption="Paired differences on the same resampled units, model minus baseline. ↓: lower is better.",
        align="ll" + "r" * len(names),
        signed=True,
    )


def _cells(group: Mapping[str, Any], names: list[str]) -> list[intervals.Interval | None]:
    return [intervals.Interval.from_json(group[name]) if name in group else None for name in names]


def _direction(group: Mapping[str, Any], headline: str) -> str | None:
    if headline not in group:
        return None
    lower_is_better = headline in formatting.LOWER_IS_BETTER
    return formatting.direction(intervals.Interval.from_json(group[headline]), lower_is_better=lower_is_better)


def _with_direction(name: str) -> str:
    return formatting.metric_name(name) + ("\N{NO-BREAK SPACE}↓" if name in formatting.LOWER_IS_BETTER else "")


def _spoken(rows: Mapping[str, intervals.Interval], *, signed: bool = False) -> str:
    return "; ".join(f"{label} {formatting.with_bounds(row, signed=signed)}" for label, row in rows.items())
