"""Files read in pieces have the features of files read whole."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from apps.fraud_detection import config, data, histories, inputs, predict, preprocessing, stored_histories
from apps.fraud_detection.readers import sources
from apps.fraud_detection.transactions import Transactions
from shared import errors, resuming


@pytest.mark.parametrize("rows", [97, 1_000, 10**9])
def test_blocks_have_the_features_of_the_whole(
    rows: int, booked: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "SMALLEST_BLOCK", 500)
    pieces = [booked.take(np.arange(start, min(start + rows, len(booked)))) for start in range(0, len(booked), rows)]
    whole = inputs.compute_history(booked, booked.schema)
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=5)
    sequences = preprocessing.sequences(found, booked, whole, slice(None))
    place = 0
    for block in predict.blocks(pieces, found):
        new = len(block.transactions) - block.first
        assert np.array_equal(block.transactions.ids[block.first :], booked.ids[place : place + new])
        for name, values in whole.items():
            assert np.array_equal(block.history[name][block.first :], values[place : place + new]), name
        fresh = np.arange(block.first, len(block.transactions))
        mine = preprocessing.sequences(found, block.transactions, block.history, fresh)
        assert np.array_equal(mine, sequences[place : place + new])
        place += new
    assert place == len(booked)


@pytest.mark.tensorflow
def test_each_output_row_has_the_file_as_given_its_row_there_and_its_id(
    booked: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "SMALLEST_BLOCK", 300)
    monkeypatch.setattr(predict, "READ_ROWS", 70)
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=5)
    ends = {"old/day.csv": 150, "jan/day.csv": 500, "feb/day.csv": 1_000}

    def read(paths: list[str]) -> Iterator[Transactions]:
        starts = dict(zip(ends, [0, 150, 500], strict=True))
        for path in paths:
            for start in range(starts[path], ends[path], 90):
                yield dataclasses.replace(booked.take(np.arange(start, min(start + 90, ends[path]))), name=path)

    def answer(block: predict.Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        return {"score": block.transactions.amount[rows], "decision": np.full(len(rows), "genuine", object)}

    given = ["jan/day.csv", "feb/day.csv"]
    stream = predict.Stream(found, answer)
    chunks = stream.chunks(["old/day.csv"], given, chunk_rows=64, read=read)
    table = pd.concat([stream.score(chunk) for chunk in chunks])
    assert table["file"].tolist() == ["jan/day.csv"] * 350 + ["feb/day.csv"] * 500
    assert table["row"].tolist() == [*range(1, 351), *range(1, 501)]
    assert table["score"].tolist() == booked.amount[150:1_000].tolist()
    if booked.schema.id is not None:
        assert table[booked.schema.id].tolist() == booked.ids[150:1_000].tolist()


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["file", "row", "score", "decision"])
def test_a_column_of_ids_that_is_called_as_one_of_ours_takes_the_place_of_none(name: str, booked: Transactions) -> None:
    called = dataclasses.replace(booked, schema=dataclasses.replace(booked.schema, id=name)).take(np.arange(3))
    block = predict.Block(transactions=called, history={}, first=0)
    where = pd.DataFrame({"file": ["a.csv"] * 3, "row": [1, 2, 3]})
    table = predict._table(block, np.arange(3), where, {"score": np.zeros(3), "decision": np.zeros(3, object)})
    assert list(table) == ["file", "row", "id", "score", "decision"]
    assert table["id"].tolist() == booked.ids[:3].tolist()


@pytest.mark.parametrize("length", [0, 5])
def test_blocks_with_stored_histories_are_those_with_computed_ones(
    length: int, booked: Transactions, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = tmp_path / "town.parquet", tmp_path / "histories"
    data.table(booked).to_parquet(path, index=False)
    histories.write(config.Config.default().replace({"data": (str(path),)}), folder)
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=length)
    monkeypatch.setattr(predict, "SMALLEST_BLOCK", 500)
    monkeypatch.setattr(stored_histories, "_READ_ROWS", 90)

    def arrays(stored: stored_histories.Stored | None) -> dict[str, npt.NDArray[Any]]:
        pieces = sources.iterate([str(path)], found.schema, chunk_rows=300)
        every = [
            preprocessing.arrays(
                found, block.transactions, block.history, np.arange(block.first, len(block.transactions))
            )
            for block in predict.blocks(pieces, found, stored=stored)
        ]
        return {name: np.concatenate([each[name] for each in every]) for name in every[0]}

    opened = stored_histories.open_folder(folder, found, resuming.inputs([path]))
    computed, taken = arrays(None), arrays(opened)
    assert len(computed["numbers"]) == len(booked)
    for each, values in computed.items():
        assert values.tobytes() == taken[each].tobytes(), each
    with pytest.raises(errors.InputError, match="1 too few"):
        opened.take(1)


def test_stored_histories_of_other_files_or_by_another_schema_are_refused(
    booked: Transactions, tmp_path: pathlib.Path
) -> None:
    path, other, folder = tmp_path / "town.parquet", tmp_path / "other.parquet", tmp_path / "histories"
    data.table(booked).to_parquet(path, index=False)
    data.table(booked.take(np.arange(10))).to_parquet(other, index=False)
    histories.write(config.Config.default().replace({"data": (str(path),)}), folder)
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=0)
    with pytest.raises(
        errors.InputError, match=r"these files in this order: .*other.parquet. Received: .*town.parquet"
    ):
        stored_histories.open_folder(folder, found, resuming.inputs([other]))
    changes: list[dict[str, Any]] = [
        {"label_delay_days": 3.0},
        {"label": "IS_FRAUD"},
        {"entities": {"card": "CUSTOMER_ID"}},
    ]
    for values in changes:
        changed = dataclasses.replace(found, schema=dataclasses.replace(found.schema, **values))
        with pytest.raises(errors.InputError, match=f"another {next(iter(values))}"):
            stored_histories.open_folder(folder, changed, resuming.inputs([path]))


@pytest.mark.tensorflow
def test_a_chunk_is_scored_with_the_block_it_was_yielded_with_or_not_at_all(booked: Transactions) -> None:
    """As a shard, which scores some of the chunks, needs it."""
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=5)

    def amounts(block: predict.Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        return {"score": block.transactions.amount[rows]}

    def read(_paths: list[str]) -> Iterator[Transactions]:
        for start in range(0, len(booked), 90):
            yield dataclasses.replace(booked.take(np.arange(start, min(start + 90, len(booked)))), name="a.csv")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(predict, "SMALLEST_BLOCK", 300)
        patched.setattr(predict, "READ_ROWS", 70)
        stream = predict.Stream(found, amounts)
        with pytest.raises(ValueError, match="just yielded"):
            stream.score(pd.DataFrame())
        chunks = enumerate(stream.chunks([], ["a.csv"], chunk_rows=64, read=read))
        table = pd.concat([stream.score(chunk) for number, chunk in chunks if number % 3 == 1])
    assert 0 < len(table) < len(booked)
    assert table["score"].tolist() == booked.amount[table["row"].to_numpy() - 1].tolist()


@pytest.mark.tensorflow
def test_columns_that_are_kept_stand_beside_the_transaction_they_came_with(
    booked: Transactions, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of history need not have them; the id, which stands in every output, is there once."""
    found = inputs.learn(booked, np.arange(len(booked)), sequence_length=0)
    table = data.table(booked).reset_index(drop=True)
    table.iloc[:200].to_csv(tmp_path / "old.csv", index=False)
    later = table.iloc[200:450].assign(branch=[f"{place:03d}" for place in range(250)])
    later.iloc[:100].to_csv(tmp_path / "jan.csv", index=False)
    later.iloc[100:].to_parquet(tmp_path / "feb.parquet", index=False)

    def amounts(block: predict.Block, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        return {"score": block.transactions.amount[rows], "decision": np.full(len(rows), "genuine", object)}

    monkeypatch.setattr(predict, "SMALLEST_BLOCK", 60)
    monkeypatch.setattr(predict, "READ_ROWS", 70)
    monkeypatch.setattr(predict, "_open", lambda _options: (amounts, found, {"model": "toy"}))
    identity = str(booked.schema.id)
    options = predict.Options(
        settings=config.Config.default(),
        run_dir=tmp_path,
        model_dir=None,
        engine=None,
        input=[tmp_path / "jan.csv", tmp_path / "feb.parquet"],
        history=[tmp_path / "old.csv"],
        output=tmp_path / "out.parquet",
        resume=False,
        overwrite=False,
        chunk_rows=64,
        keep_columns=(identity, "branch"),
    )
    assert predict.predict(options)["rows"] == 250
    scored = pd.read_parquet(options.output)
    assert list(scored) == ["file", "row", identity, "score", "decision", "branch"]
    assert scored["branch"].tolist() == later["branch"].tolist()
    assert scored[identity].tolist() == later[identity].tolist()
    with pytest.raises(errors.InputError, match=r"--keep-columns: .*jan.csv: expected one column 'brunch'"):
        predict.predict(dataclasses.replace(options, overwrite=True, keep_columns=("brunch",)))
