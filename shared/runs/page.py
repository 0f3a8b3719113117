"""A comparison of runs as one page and one JSON document: the first run is what all others are compared with."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import files, published
from shared.evaluation import intervals
from shared.report import blocks, curves, document, figures, formatting, metrics
from shared.runs import comparing

# Lines of one figure that a reader still tells apart.
MOST_LINES, MOST_NETWORKS = 6, 3
_OF_ENVIRONMENT = ("git_commit", "precision", "strategy", "replicas", "cpu_cores", "python", "platform")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """What was compared: runs on common rows, and each later run against the first.

    Attributes:
        met: The runs on the rows that all of them predicted.
        pairs: The comparison of each run but the first with it.
        app: What the app supplies.
    """

    met: comparing.Met
    pairs: Sequence[comparing.Compared]
    app: comparing.App

    @property
    def headline(self) -> str:
        """The first metric of the first run's report."""
        return str(next(iter(self.met.runs[0].document["metrics"])))

    def notes(self) -> list[str]:
        """Return what a reader must know."""
        missing = [note for pair in self.pairs for note in pair.difference.notes]
        return list(dict.fromkeys([*self.met.notes, *missing]))


def compare(runs: Sequence[comparing.Tested], app: comparing.App) -> Comparison:
    """Compare runs on the rows that all of them predicted; errors as in ``comparing.meet``."""
    met = comparing.meet(runs)
    first = met.runs[0]
    pairs = [app.compare(first, other, met.clusters) for other in met.runs[1:]]
    return Comparison(met=met, pairs=pairs, app=app)


def to_json(found: Comparison) -> dict[str, Any]:
    """Return the content of ``comparison.json``."""
    runs = found.met.runs
    values = {runs[0].name: found.pairs[0].first} | _by_run(found, "second")
    content = {
        "app": runs[0].document["app"],
        "reference": runs[0].name,
        "runs": {each.name: str(each.run.path) for each in runs},
        "test": {
            "rows": len(found.met.clusters),
            "units": found.met.units,
            "unit": runs[0].document["data"]["unit"],
            "rows_of": {each.name: each.document["data"]["n"] for each in runs},
        },
        "metrics": values,
        "differences": _by_run(found, "difference"),
        "settings": settings(runs),
        "environment": environments(runs),
        "notes": found.notes(),
    }
    return dict(metrics.plain(content, where="comparison"))


def _by_run(found: Comparison, which: str) -> dict[str, intervals.Intervals]:
    return {run.name: getattr(pair, which) for run, pair in zip(found.met.runs[1:], found.pairs, strict=True)}


def settings(runs: Sequence[comparing.Tested]) -> dict[str, dict[str, Any]]:
    """Return the settings that differ: name -> run -> value; one that a run does not have is None."""
    return _differing({each.name: files.read_json(each.run.config) for each in runs})


def environments(runs: Sequence[comparing.Tested]) -> dict[str, dict[str, Any]]:
    """Return what differs in versions and machines: name -> run -> value."""
    told = {}
    for each in runs:
        content = files.read_json(each.run.environment) if each.run.environment.exists() else {}
        kept = {name: content[name] for name in _OF_ENVIRONMENT if name in content}
        devices = ", ".join(str(device.get("name")) for device in content.get("devices", ()))
        told[each.name] = {**kept, **content.get("packages", {}), "devices": devices}
    return _differing(told)


def _differing(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for each in contents.values() for name in each)
    rows = {name: {run: content.get(name) for run, content in contents.items()} for name in names}
    return {name: row for name, row in rows.items() if any(each != next(iter(row.values())) for each in row.values())}


def write(found: Comparison, folder: pathlib.Path) -> None:
    """Write ``comparison.json`` and ``comparison.html``, both or after a kill none."""
    page = document.render(report(found))
    with published.folder(folder) as into:
        files.write_json(into / "comparison.json", to_json(found))
        files.write_text(into / "comparison.html", page)


def answer(found: Comparison) -> str:
    """Return the main result in a sentence for each run but the first."""
    name, first = found.headline, found.met.runs[0].name
    told = []
    for run, difference in _by_run(found, "difference").items():
        if name in difference:
            words = formatting.direction(difference[name], lower_is_better=name in formatting.LOWER_IS_BETTER)
            shown = formatting.with_bounds(difference[name], signed=True)
            told.append(f"{run} against {first}: {words}; {formatting.metric_name(name)} {shown}.")
        else:
            told.append(f"{run} against {first}: {formatting.metric_name(name)} has no interval on these rows.")
    return " ".join(told)


def report(found: Comparison) -> document.Report:
    """Return the page."""
    runs = found.met.runs
    rows = f"{len(found.met.clusters):,} common test rows of {found.met.units:,} units"
    return document.Report(
        title=f"{' and '.join(each.name for each in runs[:2])}{' and others' if len(runs) > 2 else ''} compared",
        subtitle=f"{formatting.metric_name(runs[0].document['app'])}: {len(runs)} runs on {rows}.",
        answer=answer(found),
        sections=[
            document.Section("Differences", _LEAD, _differences(found)),
            *_curves(found),
            document.Section(
                "Settings", "What differs between the runs; what is the same is left out.", _settings(runs)
            ),
            *_notes(found),
        ],
    )


_LEAD = (
    "Each run minus the first, on the same rows, both on the same resamples of the units: an interval that leaves out "
    "0 is a clear difference. Many metrics are shown: one of twenty such intervals leaves out 0 by chance."
)


def _differences(found: Comparison) -> list[blocks.Block]:
    differences, name = _by_run(found, "difference"), found.headline
    values = {found.met.runs[0].name: found.pairs[0].first} | _by_run(found, "second")
    drawn = {run: each[name] for run, each in differences.items() if name in each}
    figure: list[blocks.Block] = []
    if drawn:
        label = f"{formatting.metric_name(name)}, minus {found.met.runs[0].name}"
        told = "; ".join(f"{run} {formatting.with_bounds(each, signed=True)}" for run, each in drawn.items())
        svg = figures.forest(drawn, axis_label=label, reference=0.0)
        figure = [blocks.Figure(svg=svg, caption=f"{label}.", alt=f"{label}: {told}")]
    return [*figure, _table(differences, "Paired differences. ↓: lower is better.", signed=True),
            _table(values, "The runs on the common rows. ↓: lower is better.")]  # fmt: skip


def _table(groups: Mapping[str, intervals.Intervals], caption: str, *, signed: bool = False) -> blocks.Table:
    """Return one row per metric, which may be many, and one column per run."""
    names = dict.fromkeys(name for each in groups.values() for name in each)
    arrow = {name: "\N{NO-BREAK SPACE}↓" if name in formatting.LOWER_IS_BETTER else "" for name in names}
    rows = [
        (f"{formatting.metric_name(name)}{arrow[name]}", *(each.get(name) for each in groups.values()))
        for name in names
    ]
    return blocks.Table(columns=("", *groups), rows=rows, caption=caption, align="l" + "r" * len(groups), signed=signed)


def _curves(found: Comparison) -> list[document.Section]:
    drawn = [*_of_training(found.met.runs), *_of_scores(found)]
    if not drawn:
        return []
    return [document.Section("Curves", "The runs over each other.", drawn)]


def _of_training(runs: Sequence[comparing.Tested]) -> Iterator[blocks.Figure]:
    """Yield the validation loss over the epochs: a figure per network of the first run, a line per run that has it."""
    histories = {each.name: _histories(each.run) for each in runs[:MOST_LINES]}
    for network in list(histories[runs[0].name])[:MOST_NETWORKS]:
        lines = {run: networks[network] for run, networks in histories.items() if network in networks}
        epochs = range(1, 1 + max(map(len, lines.values())))
        if len(epochs) < 2:
            continue
        padded = {name: [*line, *[None] * (len(epochs) - len(line))] for name, line in lines.items()}
        look = curves.Look(x_label="Epoch", y_label="Validation loss", whole=len(epochs) <= 20)
        told = "; ".join(f"{name} ends at {formatting.number(line[-1])}" for name, line in lines.items())
        caption = f"Validation loss while training{f' {network}' if network else ''}."
        yield blocks.Figure(svg=curves.lines(list(epochs), padded, look=look), caption=caption, alt=told)


def _histories(run: files.RunFolder) -> dict[str, list[float]]:
    """Return the validation loss of each network, by its name; of the only one by ""."""
    if not run.history.exists():
        return {}
    table = pd.read_csv(run.history)
    names = table["network"].astype(str) if "network" in table else pd.Series("", index=table.index)
    return {
        str(name): rows["validation_loss"].astype(float).to_list() for name, rows in table.groupby(names, sort=False)
    }


def _of_scores(found: Comparison) -> Iterator[blocks.Block]:
    """Yield ROC and precision-recall curves where there is one class to be found."""
    scores = {each.name: _positive_scores(each, found.app) for each in found.met.runs[:MOST_LINES]}
    present = {name: each for name, each in scores.items() if each is not None}
    if len(present) < len(scores):
        return
    truth = next(iter(present.values()))[0]
    if truth.all() or not truth.any():
        return
    each_score = {name: each[1] for name, each in present.items()}
    names = ", ".join(present)
    roc, precision = figures.roc(truth, each_score), figures.precision_recall(truth, each_score)
    told = f"Precision against recall of {names}"
    beside = blocks.Figure(svg=precision, caption="Precision and recall on the common rows.", alt=told)
    yield blocks.Row([blocks.Figure(svg=roc, caption="ROC on the common rows.", alt=f"ROC of {names}"), beside])


def _positive_scores(
    run: comparing.Tested, app: comparing.App
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]] | None:
    names = comparing.class_names(run)
    if "label" not in run.table or (app.positive is None and len(names) != 2):
        return None
    positive = app.positive or names[1]
    column = f"score_{positive}" if names else "score"
    return (run.table["label"] == positive).to_numpy(bool), run.table[column].to_numpy(np.float64)


def _settings(runs: Sequence[comparing.Tested]) -> list[blocks.Block]:
    found: list[blocks.Block] = []
    for caption, rows in (("Settings.", settings(runs)), ("Versions and machines.", environments(runs))):
        cells = [(name, *(_shown(each) for each in row.values())) for name, row in rows.items()]
        columns = ("", *(each.name for each in runs))
        none = blocks.Text(f"{caption.removesuffix('.')}: no difference.")
        found.append(blocks.Table(columns=columns, rows=cells, caption=caption) if cells else none)
    return found


def _shown(value: Any) -> str:
    return (
        formatting.MISSING if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    )


def _notes(found: Comparison) -> list[document.Section]:
    notes = [blocks.Text(note, tone="caution") for note in found.notes()]
    return (
        [document.Section("Notes", "What a reader must know to read these numbers correctly.", notes)] if notes else []
    )
