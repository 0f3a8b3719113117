"""Investigators' verdicts: kept in the run folder, and read by ``update``. No TensorFlow here."""

import dataclasses
import datetime
import logging
import pathlib
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from apps.fraud_detection import config, data, schema
from apps.fraud_detection.readers import checking, formats
from apps.fraud_detection.transactions import Transactions
from shared import errors, files, printing, resuming
from shared.sources import columns, tables

log = logging.getLogger("fieldnets")

NAME = "feedback.parquet"
ID_COLUMNS = ("id", "transaction_id", "row")
LABEL_COLUMNS = ("label", "verdict", "is_fraud", "fraud")
# What a transaction without an id is called: ``t`` and the hash of its content.
_CONTENT = re.compile("t[0-9a-f]{16}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a call of ``feedback`` did.

    Attributes:
        verdicts: In the file.
        changed: Of them, how many replace an earlier verdict with another label.
        total: Verdicts on record now.
    """

    verdicts: int
    changed: int
    total: int


def record(
    run_folder: pathlib.Path, labels: pathlib.Path, *, id_column: str | None, label_column: str | None
) -> Recorded:
    """Add the verdicts of a file to those of a run; the newest verdict on a transaction counts.

    Calls at the same time wait for each other.

    Args:
        run_folder: The run.
        labels: CSV or Parquet with a column of ids and one of verdicts: 1, true, yes, fraud, or 0, false, no, genuine.
        id_column: The run's own name for ids, beside ``ID_COLUMNS``; None where its transactions have none.
        label_column: The run's own name for labels, beside ``LABEL_COLUMNS``.

    Raises:
        errors.InputError: The file cannot be read, lacks a column, names a transaction twice or by the number of its
            row, or holds another verdict.
    """
    table = read(labels, id_column=id_column, label_column=label_column)
    if id_column is None:
        _refuse_positions(table, labels)
    table["recorded_at"] = datetime.datetime.now(datetime.UTC)
    with resuming.locked(run_folder, what="`feedback` on one run", wait=True):
        before = load(run_folder)
        known = before.set_index("id")["label"].reindex(table["id"])
        changed = int((known.notna().to_numpy() & (known.to_numpy() != table["label"].to_numpy())).sum())
        joined = pd.concat([before, table]) if len(before) else table
        kept = joined.drop_duplicates("id", keep="last")
        with files.atomic(run_folder / NAME) as temporary:
            kept.to_parquet(temporary, index=False)
    return Recorded(verdicts=len(table), changed=changed, total=len(kept))


def _refuse_positions(table: pd.DataFrame, labels: pathlib.Path) -> None:
    """Refuse verdicts on numbers of rows, which in another file are other transactions."""
    other = [identity for identity in table["id"] if not _CONTENT.fullmatch(identity)]
    if other:
        raise errors.InputError(
            f"{labels}: expected the transaction_id that `alerts` writes into its queue: the transactions of this run "
            f"have no ids, and the number of a row is another transaction in another file. Received: {other[0]!r}"
        )


def check(folder: files.RunFolder, names: schema.Schema) -> dict[str, int]:
    """Return how many verdicts on record are on transactions of the queues of alerts, or of the run's own data.

    The others may be on newer transactions, which only ``update`` is given.
    """
    verdicts = load(folder.path)["id"]
    queues = [pd.read_parquet(path) for path in sorted((folder.path / "alerts").glob("*/queue.parquet"))]
    known = [_as_ids(each[column]) for each in queues for column in (names.id, "transaction_id") if column in each]
    if not verdicts.isin(np.concatenate([[], *known])).all():
        known.append(identities(_own(folder, names)))
    return met(verdicts, np.concatenate([[], *known]))


def _own(folder: files.RunFolder, names: schema.Schema) -> Transactions:
    settings = config.Config.from_json(files.read_json(folder.config), where=str(folder.config))
    return data.load(settings, trained_on=names, labelled=False)


def identities(found: Transactions) -> npt.NDArray[np.object_]:
    """Return (n,) what verdicts call transactions: their ids as text, or else the hashes of their content.

    Transactions that are alike in every cell have one hash, and one verdict.
    """
    if found.schema.id is not None:
        return columns.as_text(found.ids)
    return np.array([f"t{value:016x}" for value in found.row_hashes().tolist()], object)


def read(labels: pathlib.Path, *, id_column: str | None, label_column: str | None) -> pd.DataFrame:
    """Return a file's verdicts: id (str) and label (0 or 1)."""
    if not labels.is_file():
        raise errors.InputError(f"--labels: expected a CSV or Parquet file. Received: {labels}, which is not there")
    tables.check(labels)
    table = tables.read(labels)
    ids, verdicts = (
        _column(table, labels, wanted, what)
        for wanted, what in (((id_column, *ID_COLUMNS), "an id"), ((label_column, *LABEL_COLUMNS), "a verdict"))
    )
    place = columns.Place(str(labels), verdicts)
    values = checking.labels(table[verdicts], place)
    if (values < 0).any():
        place.refuse(int(np.flatnonzero(values < 0)[0]), "a verdict", None)
    # A queue that is sent back has ids as `alerts` wrote them, for a spreadsheet.
    found = pd.Series(_as_ids(table[ids].map(printing.as_it_was)))
    empty = (found == "").to_numpy()
    if empty.any():
        columns.Place(str(labels), ids).refuse(int(empty.argmax()), "an id", None)
    twice = found.duplicated()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        first = int((found == found[row]).to_numpy().argmax())
        raise errors.InputError(
            f"{labels}, row {row + 1}: expected each transaction once. Received: {found[row]} again, "
            f"which also stands in row {first + 1}"
        )
    return pd.DataFrame({"id": found, "label": values})


def _as_ids(column: "pd.Series[Any]") -> npt.NDArray[np.object_]:
    """Return (n,) object: ids as the data's own are read, so that 7 and 7.0 are one."""
    return columns.as_text(columns.identities(column))


def _column(table: pd.DataFrame, labels: pathlib.Path, wanted: tuple[str | None, ...], what: str) -> str:
    for name in filter(None, wanted):
        own = [str(each) for each in table.columns if formats.normalised(str(each)) == formats.normalised(name)]
        if len(own) > 1 and name not in own:
            raise errors.InputError(f"{labels}: expected one column of {what}. Received: {', '.join(own)}")
        if own:
            return name if name in own else own[0]
    names = ", ".join(name for name in wanted if name)
    raise errors.InputError(
        f"{labels}: expected a column of {what} named {names}. Received: {', '.join(map(str, table.columns))}"
    )


def load(run_folder: pathlib.Path) -> pd.DataFrame:
    """Return the verdicts on record: id (str), label (0 or 1), recorded_at."""
    path = run_folder / NAME
    if not path.is_file():
        return pd.DataFrame({"id": [], "label": [], "recorded_at": []})
    found = pd.read_parquet(path)
    # Earlier calls kept ids as they were written: 7.0 for 7.
    return found.assign(id=_as_ids(found["id"])).drop_duplicates("id", keep="last")


def apply(run_folder: pathlib.Path, found: Transactions) -> tuple[Transactions, dict[str, int]]:
    """Return transactions with the verdicts on record in place of their labels, and how many met one and how many none.

    Raises:
        errors.InputError: There are verdicts, and none is on any of the transactions.
    """
    verdicts = load(run_folder)
    if not len(verdicts):
        return found, {"verdicts": 0, "verdicts_not_in_the_data": 0}
    own = identities(found)
    known = verdicts.set_index("id")["label"].reindex(own)
    has = known.notna().to_numpy()
    if not has.any():
        raise errors.InputError(
            f"{found.name}: expected transactions on which verdicts are on record ({run_folder / NAME}). "
            f"Received: none; a verdict is on {verdicts['id'].iloc[0]!r}, the first transaction is {own[0]!s}"
        )
    labels = found.labels.copy()
    labels[has] = known.to_numpy()[has].astype(np.int64)
    return dataclasses.replace(found, labels=labels), met(verdicts["id"], own)


def met(verdicts: "pd.Series[str]", own: npt.NDArray[np.object_]) -> dict[str, int]:
    """Return how many verdicts are on transactions called ``own`` (n,), and how many are not; the latter are logged."""
    absent = verdicts[~verdicts.isin(own)]
    if len(absent):
        some = ", ".join(absent.head(3))
        log.warning("%d of %d verdicts are on no transaction of the data, such as %s", len(absent), len(verdicts), some)
    return {"verdicts": len(verdicts) - len(absent), "verdicts_not_in_the_data": len(absent)}
