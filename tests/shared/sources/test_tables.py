"""Columns of tables as Arrow arrays and as numbers, and tables however they are packed."""

import io
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from shared import errors
from shared.sources import columns, numerals, tables


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        (["1", "22"], [1, 22]),
        (["1.0", None], [1, -1]),
        ([1.0, None], [1, -1]),
        (["007", "7"], ["007", "7"]),
        (["1", "0x10"], ["1", "0x10"]),
        (["1", "-1"], ["1", "-1"]),
        ([5, -7], ["5", "-7"]),
        (["7", "C1", None], ["7", "C1", ""]),
        ([1.5, 2.0], ["1.5", "2"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        ([None, None], ["", ""]),
    ],
)
def test_names_are_numbers_only_where_nothing_is_lost(written: Any, meaning: list[Any]) -> None:
    found = columns.identities(pd.Series(written))
    assert found.tolist() == meaning
    assert found.dtype == (np.int64 if isinstance(meaning[0], int) else object)


def test_nobody_is_an_empty_name_among_text() -> None:
    assert columns.as_text(np.array([3, -1])).tolist() == ["3", ""]


def test_recoded_text_is_a_stream_of_python(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_bytes("a,ß\n".encode("utf-16"))
    with tables.opener(tmp_path / "a.csv")() as stream:
        assert isinstance(stream, io.BufferedReader)
        assert stream.read(2) + stream.read() == "a,ß\n".encode()


def test_shares_of_numbers_follow_the_convention() -> None:
    assert numerals.readable_share(pd.Series(["1,5", "2,5", "x", None])) == 0
    assert numerals.readable_share(pd.Series(["1,5", "2,5", "x", None]), written="comma") == pytest.approx(2 / 3)
    assert numerals.readable_share(pd.Series([None, "NA"])) == 0


def test_a_table_comes_whole_or_in_pieces_whatever_its_delimiter(tmp_path: pathlib.Path) -> None:
    content = pd.DataFrame({"id": range(10), "name": [f"n{number}" for number in range(10)]})
    content.to_csv(tmp_path / "a.csv", index=False, sep=";")
    content.to_parquet(tmp_path / "a.parquet", index=False)
    for path in (tmp_path / "a.csv", tmp_path / "a.parquet"):
        assert tables.columns(path) == ("id", "name")
        assert [len(frame) for frame in tables.chunks(path, 4)] == [4, 4, 2]
        assert tables.read(path, ["name"])["name"].tolist() == content["name"].tolist()


def test_a_bad_cell_is_named_with_its_file_row_and_column() -> None:
    place = columns.Place("a.csv", "amount", before=10, advice="--decimal helps")
    with pytest.raises(errors.InputError, match=r"a.csv: row 12, column 'amount': .* Received: 'x'") as found:
        numerals.numbers(pd.Series(["1", "x"]), place)
    assert str(found.value).endswith("(--decimal helps)")


def test_memory_does_not_grow_with_a_parquet_file(tmp_path: pathlib.Path) -> None:
    path, rows = tmp_path / "a.parquet", 50_000
    table = pyarrow.table({name: np.random.default_rng(0).random(rows) for name in "abcd"})
    with pyarrow.parquet.ParquetWriter(path, table.schema, compression="none", use_dictionary=False) as writer:
        for _ in range(30):
            writer.write_table(table)
    before, highest, read = pyarrow.total_allocated_bytes(), 0, 0
    for batch in tables.chunks(path, rows):
        read += len(batch)
        highest = max(highest, pyarrow.total_allocated_bytes() - before)
    assert read == 30 * rows
    assert highest < path.stat().st_size / 4
