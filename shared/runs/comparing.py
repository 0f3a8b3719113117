"""Runs of one app on the same test units: which units met, and what differs, with paired intervals.

Two runs are compared on the rows that both predicted, joined by what names a row in ``predictions.parquet``. Rows of
one cluster (a patient, a card, a drive, a group of texts) are resampled together; where the runs know other clusters,
what either holds together stays together.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from shared import errors, files
from shared.evaluation import evaluators, intervals, resampling, summaries, weighted

Ints: TypeAlias = npt.NDArray[np.int64]
LEAST_UNITS, RESAMPLES = 2, 1000


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Tested:
    """What one run predicted for its test rows, and how an app compares that with another run's.

    Attributes:
        run: The run's folder.
        name: What it is called beside the others.
        document: Its ``metrics.json``.
        table: Its ``predictions.parquet``.
        keys: Columns that name a row.
        truth: Columns that hold what is true of it, the same in every run.
        cluster: Column of what is resampled.
    """

    run: files.RunFolder
    name: str
    document: Mapping[str, Any]
    table: pd.DataFrame
    keys: Sequence[str]
    truth: Sequence[str]
    cluster: str

    @functools.cached_property
    def rows(self) -> pd.Index:
        """The name of each row; of equal ones the first is the first in every run."""
        names = self.table[list(self.keys)].astype(str).agg("\x1f".join, axis=1)
        occurrence = names.groupby(names).cumcount().astype(str)
        return pd.Index(names + "\x1f" + occurrence)

    @property
    def resamples(self) -> int:
        """How many resamples the run's own report has."""
        return int(files.read_json(self.run.config).get("resamples", RESAMPLES))

    def take(self, rows: pd.Index) -> "Tested":
        """Return the run on some rows, in their order."""
        chosen = self.table.iloc[self.rows.get_indexer(rows)].reset_index(drop=True)
        return dataclasses.replace(self, table=chosen)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """The metrics of two runs on the same rows, and the paired differences second minus first."""

    first: intervals.Intervals
    second: intervals.Intervals
    difference: intervals.Intervals


# ``(first, second, clusters) -> Compared``, of two runs whose tables have the same rows in the same order.
Compare: TypeAlias = Callable[[Tested, Tested, Ints], Compared]


@dataclasses.dataclass(frozen=True, kw_only=True)
class App:
    """What an app supplies to a comparison of its runs.

    Attributes:
        keys: Columns of ``predictions.parquet`` that name a row.
        cluster: Column of what is resampled.
        truth: ``(columns) -> columns`` that hold what is true of a row.
        compare: Compares two runs on the same rows.
        positive: The class whose curves are drawn, in the column ``score`` or ``score_<class>``; None: of two classes
            the second.
    """

    keys: Sequence[str]
    cluster: str
    truth: Callable[[Sequence[str]], Sequence[str]]
    compare: Compare
    positive: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Met:
    """Runs on the rows that all of them predicted.

    Attributes:
        runs: Them, each on these rows in the same order.
        clusters: (n,) what is resampled.
        units: Number of clusters.
        notes: What a reader must know: rows that did not meet, clusters that differ.
    """

    runs: Sequence[Tested]
    clusters: Ints
    units: int
    notes: Sequence[str]


def open_tested(path: pathlib.Path, *, name: str, app: App) -> Tested:
    """Return what a run predicted.

    Raises:
        errors.InputError: There is no run, or it was not evaluated, or since then it was trained anew.
    """
    run = files.RunFolder.open(path)
    document, table = run.evaluation / "metrics.json", run.evaluation / "predictions.parquet"
    if not (document.is_file() and table.is_file()):
        raise errors.InputError(
            f"{name}: expected an evaluated run; `evaluate --run-dir {path}` makes one. Received: no evaluation"
        )
    content = files.read_json(document)
    weights = content.get("model", {}).get("weights_sha256")
    if weights is not None and weights != files.sha256(run.model):
        raise errors.InputError(
            f"{name}: expected an evaluation of the weights that are there now; `evaluate --run-dir {path}` makes one. "
            "Received: one of other weights"
        )
    predicted = pd.read_parquet(table)
    truth = app.truth([str(name) for name in predicted])
    return Tested(
        run=run, name=name, document=content, table=predicted, keys=app.keys, truth=truth, cluster=app.cluster
    )


def meet(runs: Sequence[Tested]) -> Met:
    """Join the runs by what names their rows.

    Raises:
        errors.InputError: A run lacks a column that is needed; fewer than two units are common to all; or labels of
            the same rows differ.
    """
    for each in runs:
        _require_columns(each)
    common = functools.reduce(lambda found, each: found[found.isin(each.rows)], runs[1:], runs[0].rows)
    joined = [each.take(common) for each in runs]
    if common.empty:
        sizes = ", ".join(f"{each.name} {len(each.table):,} rows" for each in runs)
        raise errors.InputError(f"compare: expected runs that were tested on the same rows. Received: none ({sizes})")
    _refuse_other_labels(joined, common)
    clusters, differ = _clusters(joined)
    count = len(np.unique(clusters))
    if count < LEAST_UNITS:
        raise errors.InputError(f"compare: expected at least {LEAST_UNITS} common units. Received: {count}")
    return Met(runs=joined, clusters=clusters, units=count, notes=_notes(runs, len(common), differ))


def _require_columns(run: Tested) -> None:
    missing = [name for name in (*run.keys, *run.truth, run.cluster) if name not in run.table]
    if missing:
        raise errors.InputError(
            f"{run.name}: expected predictions with the columns {', '.join(missing)}; "
            f"`evaluate --run-dir {run.run.path}` writes them. Received: an evaluation of before"
        )


def _refuse_other_labels(runs: Sequence[Tested], rows: pd.Index) -> None:
    first = runs[0].table[list(runs[0].truth)]
    for other in runs[1:]:
        differing = np.array([_differ(first[name], other.table[name]) for name in first]).any(axis=0)
        if differing.any():
            at = int(np.argmax(differing))
            where = str(rows[at]).rpartition("\x1f")[0].replace("\x1f", ", ")
            raise errors.InputError(
                f"compare: expected the same labels in {runs[0].name} and {other.name}. Received: others in "
                f"{int(differing.sum()):,} of {len(rows):,} common rows, the first of them {files.printable(where)}"
            )


def _differ(ours: "pd.Series[Any]", theirs: "pd.Series[Any]") -> npt.NDArray[np.bool_]:
    """Return (n,) where two columns differ; cells that are arrays are compared as a whole."""
    if ours.dtype == object and len(ours) and isinstance(ours.iloc[0], np.ndarray):
        return np.array([not np.array_equal(*pair, equal_nan=True) for pair in zip(ours, theirs, strict=True)])
    return ~((ours == theirs) | (ours.isna() & theirs.isna())).to_numpy(bool)


def _clusters(runs: Sequence[Tested]) -> tuple[Ints, bool]:
    """Return (n,) clusters that no run's own one crosses, and whether the runs' own ones differ."""
    codes = [np.unique(each.table[each.cluster].to_numpy(), return_inverse=True)[1] for each in runs]
    n, edges = len(codes[0]), []
    for code in codes:
        first_of = np.unique(code, return_index=True)[1]
        edges.append(first_of[code])
    source, target = np.tile(np.arange(n), len(edges)), np.concatenate(edges)
    graph = sparse.coo_matrix((np.ones(len(source), bool), (source, target)), shape=(n, n))
    count, found = sparse.csgraph.connected_components(graph, directed=False)
    differ = any(count != len(np.unique(code)) for code in codes)
    # In the order of the report, so that its resamples, and its intervals, are those of the comparison.
    return np.asarray(found if differ else codes[0], np.int64), differ


def _notes(runs: Sequence[Tested], common: int, differ: bool) -> list[str]:
    notes = []
    for each in runs:
        rows = len(each.table)
        if rows > common:
            notes.append(
                f"{each.name} was tested on {rows:,} rows, of which {common:,} ({100 * common / rows:.0f} %) are "
                "common to all: these figures are of the common rows and not those of its report."
            )
    if differ:
        notes.append("The runs group rows into units in different ways: what either holds together is resampled so.")
    splits = {each.document["data"]["split"] for each in runs}
    if splits != {"test"}:
        notes.append(f"Not every run was evaluated on its test part: {', '.join(sorted(splits))}.")
    return notes


def paired(first: resampling.Resampled, second: resampling.Resampled) -> Compared:
    """Return the comparison of two models that were resampled with the same seed over the same units."""
    difference = second.minus(first)
    return Compared(first=first.intervals(), second=second.intervals(), difference=difference.intervals())


def classifiers(metrics: Mapping[str, weighted.Metric], *, positive_only: bool) -> Compare:
    """Return how two classifiers are compared that wrote ``label``, ``predicted`` and ``score_<class>``.

    Args:
        metrics: The metrics; those that do not apply are left out, with a note.
        positive_only: Whether metrics of two classes read the second one's probability alone.
    """

    def compare(first: Tested, second: Tested, clusters: Ints) -> Compared:
        names = class_names(first)
        if names != class_names(second):
            raise errors.InputError(
                f"compare: expected the classes of {first.name} ({', '.join(names)}) in {second.name}, too. "
                f"Received: {', '.join(class_names(second))}"
            )
        rows = [_rows(each, names, clusters, positive_only=positive_only) for each in (first, second)]
        found = [summaries.resampled(**each, metrics=metrics, resamples=first.resamples) for each in rows]
        both = paired(*found)
        for own, each in zip((both.first, both.second), rows, strict=True):
            summaries.with_closed_forms(own, **each)
        predicted = [set(np.union1d(each["predicted"], each["y_true"])) for each in rows]
        if predicted[0] != predicted[1]:
            for name in evaluators.CLASS_MEANS:
                both.difference.pop(name, None)
        return both

    return compare


def class_names(run: Tested) -> list[str]:
    """Return the classes, in the order of their scores."""
    return [name.removeprefix("score_") for name in map(str, run.table) if name.startswith("score_")]


def _rows(run: Tested, names: list[str], clusters: Ints, *, positive_only: bool) -> dict[str, Any]:
    number = {name: place for place, name in enumerate(names)}
    scores = run.table[[f"score_{name}" for name in names]].to_numpy(np.float64)
    return {
        "y_true": run.table["label"].map(number).to_numpy(np.int64),
        "scores": scores[:, 1] if positive_only and len(names) == 2 else scores,
        "predicted": run.table["predicted"].map(number).to_numpy(np.int64),
        "units": clusters,
    }
