"""Sources -> checked transactions -> folds in time -> arrays: what the other modules do, in one place to look.

Reading is in ``readers``, what transactions are in ``transactions``, the parts in ``folds``, the histories in
``features``, the columns that networks read in ``inputs`` and ``preprocessing``. No TensorFlow here.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import config, features, folds, inputs, simulator, transactions
from apps.fraud_detection import schema as schemas
from apps.fraud_detection.readers import sources
from shared import errors, files, splits
from shared.sources import cells

log = logging.getLogger("fieldnets")
CLASS_NAMES = transactions.CLASS_NAMES


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A labelled source, cut into folds, with the history of every transaction.

    Attributes:
        transactions: All rows, oldest first.
        history: Feature -> (n,) float32.
        folds: Row numbers of the parts, the newest fold last.
    """

    transactions: transactions.Transactions
    history: dict[str, npt.NDArray[np.float32]]
    folds: list[folds.Fold]


def locate(settings: config.Config) -> None:
    """Find every source, downloading public sets by name; ``errors.InputError`` where one is not there."""
    for spec in settings.data:
        sources.locate(spec)


def load(
    settings: config.Config, *, trained_on: schemas.Schema | None = None, labelled: bool = True
) -> transactions.Transactions:
    """Read and check all transactions of the sources, in order of time.

    Args:
        settings: Which sources, and how to read them.
        trained_on: Schema of a trained model, which the columns must fit.
        labelled: Whether labels are needed.

    Raises:
        errors.InputError: A source is not there, or its columns or rows cannot be used.
    """
    return sources.load(
        settings.data,
        reading=reading(settings),
        schema_path=None if settings.schema is None else pathlib.Path(settings.schema),
        schema=trained_on,
        labelled=labelled,
        normal_weight=settings.normal_weight,
        world=world(settings),
    )


def reading(settings: config.Config) -> sources.Reading:
    """Return what the settings say of how tables are to be read."""
    return sources.Reading(
        data_format=settings.data_format,
        follow_links=settings.follow_links,
        decimal=cast("cells.Decimal", settings.decimal),
        time_format=settings.time_format,
        time=settings.time_column,
        amount=settings.amount_column,
        label=settings.label_column,
        weight=settings.sample_weight_column,
        label_delay_days=settings.label_delay_days,
    )


def world(settings: config.Config) -> simulator.World:
    """Return what ``card-simulator`` simulates."""
    return simulator.World(
        customers=settings.customers,
        terminals=settings.terminals,
        days=settings.days,
        drift_day=settings.drift_day,
        seed=settings.seed,
    )


def prepare_source(settings: config.Config, *, trained_on: schemas.Schema | None = None) -> Prepared:
    """Read, cut and describe the source of ``settings``, by the schema of a trained run if there is one.

    Raises:
        errors.InputError: It cannot be read, or there is too little of it.
        errors.GateError: The split failed its own check.
    """
    found = load(settings, trained_on=trained_on)
    log.info("%s", describe(found))
    made, _ = folds.split(found, settings)
    history = inputs.compute_history(found, found.schema)
    return Prepared(transactions=found, history=history, folds=made)


def prepare_again(settings: config.Config, folder: files.RunFolder) -> Prepared:
    """Read a run's source again and check that it is what the certificate says.

    Raises:
        errors.GateError: The source has changed since the run.
    """
    trained_on = inputs.Inputs.from_json(
        files.read_json(folder.path / inputs.FILE), where=str(folder.path / inputs.FILE)
    ).schema
    again = prepare_source(settings, trained_on=trained_on)
    refuse_changed(splits.read_certificate(folder.split)["checks"].get("data_sha256"), again.transactions)
    newest = folds.as_split(
        again.transactions, again.folds[-1], folds.describe(again.transactions, settings), settings.seed
    )
    splits.require_same(
        splits.read_certificate(folder.split), newest, content_hashes=again.transactions.content_hashes()
    )
    return again


def refuse_changed(recorded: str | None, found: transactions.Transactions) -> None:
    """Refuse data of which any cell that is read is another one than at the training.

    Raises:
        errors.GateError: The SHA-256 is another one.
    """
    # Earlier runs recorded one of ids, times, amounts, parties and labels only.
    if recorded not in (None, found.sha256, transactions.digest(found.content_hashes())):
        raise errors.GateError(
            f"{found.name}: expected the data of this run: SHA-256 {recorded}. Received: {found.sha256}: a cell that "
            f"the training read has changed since"
        )


def tell(found: transactions.Transactions) -> None:
    """Log what was read, and what a reader should know about it."""
    for line in (describe(found), *found.notes):
        log.info("%s", line)


def describe(found: transactions.Transactions) -> str:
    """Say in one line what was read.

    Returns:
        For example ``card-simulator: 1,793,441 transactions of 4,990 payers, 2018-04-01 00:00:31 to 2018-09-30
        23:59:57, 15,328 frauds (0.855 %)``.
    """
    payers = f" of {len(np.unique(found.payers)):,} payers" if found.schema.payer is not None else ""
    first, last = (instant_name(int(time), calendar=found.calendar) for time in found.time[[0, -1]])
    frauds = int((found.labels == 1).sum())
    known = found.labels != transactions.UNKNOWN
    share = found.weights[found.labels == 1].sum() / max(found.weights[known].sum(), 1e-12)
    labels = f"{frauds:,} frauds ({100 * share:.3g} %)" if known.any() else "without labels"
    return f"{found.name}: {len(found):,} transactions{payers}, {first} to {last}, {labels}"


def instant_name(time: int, *, calendar: bool) -> str:
    """Return how an instant is written, to the second.

    >>> instant_name(90_061_500_000, calendar=False), instant_name(0, calendar=True)
    ('day 2 01:01:01', '1970-01-01 00:00:00')
    """
    of_day = np.datetime64(time % features.DAY // features.MICROSECONDS, "s")
    clock = str(of_day).partition("T")[2]
    return f"{folds.day_name(time // features.DAY, calendar=calendar)} {clock}"


def parts(found: transactions.Transactions, made: Sequence[folds.Fold]) -> pd.DataFrame:
    """Return the rows of every fold: id, fold (from 1, the newest last) and part."""
    tables = [
        pd.DataFrame({"id": found.ids[fold.rows(part)], "fold": number, "part": part})
        for number, fold in enumerate(made, start=1)
        for part in splits.PARTS
    ]
    return pd.concat(tables, ignore_index=True)


def table(found: transactions.Transactions) -> pd.DataFrame:
    """Return transactions under the source's own column names, dates as datetime64, other times as numbers."""
    names = found.schema
    columns: dict[str, Any] = {} if names.id is None else {names.id: found.ids}
    columns[names.time] = times(found)
    if names.amount is not None:
        columns[names.amount] = found.amount
    columns |= {column: found.entities[role] for role, column in names.entities.items()}
    columns |= {**found.numeric, **found.categorical}
    if names.label is not None:
        columns[names.label] = pd.Series(found.labels).where(found.labels != transactions.UNKNOWN).astype("Int64")
    for column, values in ((names.group, found.groups), (names.scenario, found.scenarios)):
        if column is not None and values is not None:
            columns[column] = values
    if names.weight is not None:
        columns[names.weight] = found.weights
    return pd.DataFrame(columns)


def write(found: transactions.Transactions, folder: pathlib.Path) -> None:
    """Write the normalised data set, as ``table`` gives it, to ``transactions.parquet``."""
    with files.atomic(folder / "transactions.parquet") as temporary:
        table(found).to_parquet(temporary, index=False)


def table_schema(names: schemas.Schema) -> schemas.Schema:
    """Return the schema of what ``table`` returns: whole instants and plain numbers, however the source wrote them."""
    return dataclasses.replace(names, clock=None, time_format=schemas.AUTO, decimal={})


def times(found: transactions.Transactions) -> npt.NDArray[Any]:
    """Return (n,) the times in the unit of the schema."""
    if found.calendar:
        return found.time.astype("datetime64[us]")
    unit = schemas.UNITS[found.schema.time_unit]
    return np.asarray(found.time / (features.MICROSECONDS * unit), np.float64)


def require_labels(found: transactions.Transactions) -> None:
    """Raise ``errors.InputError`` where no row is labelled."""
    if not (found.labels != transactions.UNKNOWN).any():
        raise errors.InputError(f"{found.name}: expected labelled transactions to judge. Received: none with a label")
