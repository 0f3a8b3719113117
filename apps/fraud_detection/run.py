"""A loaded run, the parts of its own or of other data, and what ``update`` has let its model learn since its training.

``evaluate``, ``explain``, ``alerts``, ``update``, ``export`` and ``predict --run-dir`` start from it.
``learned_rows.npy`` holds the hashes (``Transactions.row_hashes``) of the rows that promoted challengers were trained,
stopped and calibrated on; ``evaluate`` leaves them out. Figures of the model before an update are kept with that model.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.fraud_detection import config, data, folds, inputs, model, preprocessing
from apps.fraud_detection.transactions import UNKNOWN, Transactions
from shared import errors, files, splits

LEARNED = "learned_rows.npy"
CHAMPIONS = "champions"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        folder: Its files.
        settings: Its resolved configuration.
        newest: The scorer of the newest fold, the one that is exported.
    """

    folder: files.RunFolder
    settings: config.Config
    newest: model.Scorer

    @functools.cached_property
    def folds(self) -> tuple[model.Scorer, ...]:
        """The scorer of each fold, oldest first; the older ones are read only where they are asked for."""
        older = model.numbered(self.folder.path / "folds")
        return (*(model.load(each) for each in older), self.newest)

    @property
    def inputs(self) -> inputs.Inputs:
        """The arrays that the newest fold's model reads."""
        return self.newest.inputs


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FoldRows:
    """Rows of one source that one fold's model scores.

    Attributes:
        fold: Number of the fold, from 0.
        transactions: The source.
        history: Its features.
        rows: (n,) row numbers, oldest first.
    """

    fold: int
    transactions: Transactions
    history: Mapping[str, npt.NDArray[np.float32]]
    rows: npt.NDArray[np.int64]

    def arrays(self, found: inputs.Inputs) -> dict[str, npt.NDArray[Any]]:
        """Return what the networks read of the rows."""
        return preprocessing.arrays(found, self.transactions, self.history, self.rows)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """What to evaluate.

    Attributes:
        folds: The rows, for each fold.
        name: Of the part.
        protocol: How the parts were made, in a sentence.
        certificate: The run's split certificate; empty for other data.
    """

    folds: tuple[FoldRows, ...]
    name: str
    protocol: str
    certificate: dict[str, Any]

    @property
    def dataset(self) -> Transactions:
        """The source that the rows are of."""
        return self.folds[0].transactions


def open_run(path: pathlib.Path) -> Run:
    """Open a run folder.

    Raises:
        errors.InputError: It is no finished run.
    """
    folder = files.RunFolder.open(path)
    settings = config.Config.from_json(files.read_json(folder.config), where=str(folder.config))
    return Run(folder=folder, settings=settings, newest=model.load(path))


def own_data(run: Run, *, quarantine: pathlib.Path | None = None) -> tuple[data.Prepared]:
    """Read and cut the run's own source again; no row of it is ever set aside.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    del quarantine
    return (data.prepare_again(run.settings, run.folder),)


def own_part(run: Run, own: data.Prepared, name: str) -> Part:
    """Return a part of the run's own data: of every fold, or with ``all`` everything, for the newest model.

    Raises:
        errors.InputError: A fold has no rows of it, or none that its model has not learned from in an update.
    """
    protocol, certificate = folds.describe(own.transactions, run.settings), splits.read_certificate(run.folder.split)
    if name == "all":
        whole = own_rows(own, len(own.folds) - 1, np.flatnonzero(own.transactions.labels != UNKNOWN))
        return Part(folds=(whole,), name=name, protocol=protocol, certificate=certificate)
    rows = [fold.rows(name) for fold in own.folds]
    if name != "train":
        # An update changes the newest fold's model only.
        newest = rows[-1]
        rows[-1] = newest[~learned_among(run.folder.path, own.transactions)[newest]]
        used = len(newest) - len(rows[-1])
        if used and not len(rows[-1]):
            raise errors.InputError(
                f"--split {name}: expected transactions that the model has not learned from. Received: none; `update` "
                f"has used up this part: give newer data with --data"
            )
        if used:
            protocol += f" {used} rows of the newest part, from which updates learned since, are left out."
    if not all(map(len, rows)):
        raise errors.InputError(f"--split {name}: expected rows in every fold. Received: a fold without any")
    found = tuple(own_rows(own, number, each) for number, each in enumerate(rows))
    return Part(folds=found, name=name, protocol=protocol, certificate=certificate)


def own_rows(own: data.Prepared, fold: int, rows: npt.NDArray[np.int64]) -> FoldRows:
    """Return rows of the run's own source for the model of a fold, from 0."""
    return FoldRows(fold=fold, transactions=own.transactions, history=own.history, rows=rows)


def other_part(
    run: Run,
    own: data.Prepared,
    settings: config.Config,
    name: str = "all",
    *,
    quarantine: pathlib.Path | None = None,
) -> Part:
    """Return other data, whole, for the newest model, without rows that it was trained on.

    Raises:
        errors.InputError: A part of them was named, or no labelled and unseen row is left.
    """
    del quarantine
    if name != "all":
        raise errors.InputError(f"--split {name}: expected all for data that are not the run's own. Received: a part")
    found = data.load(settings, trained_on=run.inputs.schema)
    data.require_labels(found)
    newest = own.folds[-1]
    seen = own.transactions.row_hashes()[np.concatenate([newest.train, newest.validation])]
    fresh = (found.labels != UNKNOWN) & ~np.isin(found.row_hashes(), seen) & ~learned_among(run.folder.path, found)
    if not fresh.any():
        raise errors.InputError(f"{found.name}: expected transactions that this run was not trained on. Received: none")
    left_out = int((~fresh).sum())
    if left_out:
        note = f"{left_out} transactions are left out: without a label, or this run was trained on them"
        found = dataclasses.replace(found, notes=(*found.notes, note))
    whole = FoldRows(
        fold=len(own.folds) - 1,
        transactions=found,
        history=inputs.compute_history(found, run.inputs.schema),
        rows=np.flatnonzero(fresh),
    )
    return Part(folds=(whole,), name="all", protocol="Data of another source, evaluated whole.", certificate={})


def add_learned(run_folder: pathlib.Path, hashes: npt.NDArray[np.uint64], *, into: pathlib.Path | None = None) -> None:
    """Record rows (n,) that the newest model has learned from, beside those on record; ``into`` another folder."""
    known = np.union1d(_recorded(run_folder), hashes)
    with files.atomic((into or run_folder) / LEARNED) as temporary:
        np.save(temporary, known)


def learned_among(run_folder: pathlib.Path, found: Transactions) -> npt.NDArray[np.bool_]:
    """Return (n,) which transactions the newest model has learned from in an update.

    Raises:
        errors.InputError: A model was replaced by an update that kept no record.
    """
    if (run_folder / CHAMPIONS).is_dir() and not (run_folder / LEARNED).is_file():
        raise errors.InputError(
            f"{run_folder}: expected a record of what `update` learned ({LEARNED}). Received: an update by an earlier "
            f"version, which kept none; train anew to evaluate"
        )
    recorded = _recorded(run_folder)
    return np.isin(found.row_hashes(), recorded) if len(recorded) else np.zeros(len(found), bool)


def _recorded(run_folder: pathlib.Path) -> npt.NDArray[np.uint64]:
    path = run_folder / LEARNED
    return np.load(path) if path.is_file() else np.zeros(0, np.uint64)
