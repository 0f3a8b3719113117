"""The second table of IEEE-CIS: what is known of the device of about a quarter of the transactions, joined by id."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from apps.fraud_detection.readers import formats
from shared import errors
from shared.sources import columns, tables

_KEY = "TransactionID"
_NOTE = "identities"


def find(files: Sequence[pathlib.Path]) -> tuple[pathlib.Path, ...]:
    """Return the table of transactions and, if there is one, that of identities among files; none of other sources.

    The parts to train on come first; the others, which have no labels, are read where they are alone.
    """
    for part in ("train", "test"):
        for path in files:
            beginning = f"{part}_transaction."
            if path.name.lower().startswith(beginning) and tables.is_table(path):
                identity = path.name.lower().replace("transaction", "identity")
                beside = [each for each in files if each.parent == path.parent and each.name.lower() == identity]
                return (path, *beside[:1])
    return ()


class Join:
    """Transactions with the columns of their identities.

    Attributes:
        extra: Columns that only the identities have.
        notes: After a whole reading, how many rows met.
    """

    def __init__(
        self,
        *,
        transactions: pathlib.Path,
        identity: pathlib.Path,
        columns: Sequence[str],
        aliases: Mapping[str, str],
    ) -> None:
        """Take the two tables, and the columns of the first with what their format calls them."""
        self._path, self._identity = transactions, identity
        self._key = aliases.get(_KEY, _KEY)
        own = tables.columns(identity)
        keys = [name for name in own if formats.normalised(name) == formats.normalised(_KEY)]
        if len(keys) != 1 or self._key not in columns:
            raise errors.InputError(f"{identity}: expected a column {_KEY}. Received: {formats.shown(own)}")
        self._identity_key = keys[0]
        self.extra = tuple(name for name in own if name not in (*columns, self._identity_key))
        self.notes: dict[str, str] = {}

    def chunks(self, wanted: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """Yield the transactions in pieces, with the wanted columns.

        Raises:
            errors.InputError: An id has two identities, or no identity belongs to any transaction.
        """
        asked = [name for name in self.extra if name in wanted]
        own = [name for name in wanted if name not in asked]
        if not asked:
            yield from tables.chunks(self._path, rows, own)
            return
        details = tables.read(self._identity, [self._identity_key, *asked])
        known = self._known(details[self._identity_key])
        matched, count = 0, 0
        for frame in tables.chunks(self._path, rows, list(dict.fromkeys([self._key, *own]))):
            place = known.get_indexer(pd.Index(columns.as_text(columns.identities(frame[self._key]))))
            # -1 is the number of no row: those cells are empty.
            found = details[asked].reindex(place).reset_index(drop=True)
            matched, count = matched + int((place >= 0).sum()), count + len(frame)
            yield pd.concat([frame, found], axis=1)[list(wanted)]
        self._note(matched, len(details), count)

    def _known(self, keys: "pd.Series[Any]") -> "pd.Index[Any]":
        """Return the ids of the identities as text, however they are written."""
        found: pd.Index[Any] = pd.Index(columns.as_text(columns.identities(keys)))
        if not found.is_unique:
            second = int(found.duplicated().argmax())
            first = int((found == found[second]).argmax())
            raise errors.InputError(
                f"{self._identity}: row {second + 1}, column {self._identity_key!r}: expected an id that occurs once. "
                f"Received: {found[second]}, which also stands in row {first + 1}"
            )
        return found

    def _note(self, matched: int, identities: int, count: int) -> None:
        if identities and count and not matched:
            raise errors.InputError(
                f"{self._identity}: expected identities of transactions in {self._path.name}. Received: "
                f"{identities:,} rows, none of whose {self._identity_key} is one of its {count:,}"
            )
        self.notes[_NOTE] = (
            f"{self._identity.name}: {matched:,} of {identities:,} identities belong to a transaction; "
            f"{count - matched:,} of {count:,} transactions have none"
        )
