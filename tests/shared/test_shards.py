"""Shards of one call: disjoint, complete, and joined again to the file that the call without shards writes."""

import json
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import batch, errors, files, shards

APP = "apps.toy"
TEXTS = ["plain", "", 'a "quoted", text', "line\nbreak", "carriage\rreturn", "né😀漢", " spaces ", "None", "1.5", "\\N"]
ROWS = 40


def chunks_of(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    return (frame.iloc[start : start + rows] for start in range(0, len(frame), rows))


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"file": "in.csv", "row": range(1, rows + 1), "text": [TEXTS[row % 10] for row in range(rows)]})


def score(chunk: pd.DataFrame) -> pd.DataFrame:
    """Return columns of every kind; one is empty in most chunks, one has no values but in the last rows."""
    share = (chunk["row"].to_numpy() - 1) / 7 % 1
    return chunk.assign(
        id=[f"00{row}" for row in chunk["row"]],
        number=chunk["row"].to_numpy() ** 9,
        sometimes=np.where(chunk["row"] % 11 == 0, np.nan, chunk["row"]) if chunk["row"].iloc[0] > 20 else chunk["row"],
        late=pd.Series(["x" if row > 35 else None for row in chunk["row"]], dtype=object, index=chunk.index),
        score=share.astype(np.float32),
        score_other=np.where(share == 0, np.nan, 1 - share),
        flag=chunk["row"] % 2 == 0,
    )


def whole(output: pathlib.Path, *, rows: int = ROWS, chunk_rows: int = 7, **options: Any) -> batch.Result:
    return batch.predict(chunks_of(frame(rows), chunk_rows), score, output=output, plan={}, **options)


def shard(output: pathlib.Path, number: int, of: int, *, rows: int = ROWS, **options: Any) -> batch.Result:
    made_of = {"app": APP, "inputs": [{"file": "in.csv", "bytes": rows, "sha256": "0"}], "model": "a"}
    made_of |= options.pop("made_of", {})
    share = shards.share(shards.Shard(number, of), output, made_of=made_of, told=dict)
    chunk_rows = options.pop("chunk_rows", 7)
    chunks = options.pop("chunks", chunks_of(frame(rows), chunk_rows))
    return batch.predict(
        chunks, options.pop("score", score), output=output, plan={"shard": [number, of]}, share=share, **options
    )


def all_of(folder: pathlib.Path, of: int, suffix: str, **options: Any) -> list[pathlib.Path]:
    paths = [folder / f"part-{number}{suffix}" for number in range(1, of + 1)]
    for number, path in enumerate(paths, start=1):
        shard(path, number, of, **options)
    return paths


def joined(paths: list[pathlib.Path], output: pathlib.Path, **options: Any) -> batch.Result:
    return shards.merge(shards.checked(paths, app=APP), output=output, **options)


@pytest.mark.parametrize("written", batch.FORMATS)
@pytest.mark.parametrize("suffix", batch.FORMATS)
def test_the_merge_is_the_file_that_one_call_writes(tmp_path: pathlib.Path, suffix: str, written: str) -> None:
    """Of shards of any format, in any order; shard 7 of 8 has no chunk at all."""
    paths = all_of(tmp_path, 8, written)
    whole(tmp_path / f"whole{suffix}")
    assert joined(paths[::-1], tmp_path / f"joined{suffix}").rows == ROWS
    found, expected = ((tmp_path / f"{name}{suffix}") for name in ("joined", "whole"))
    if suffix == ".parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(found), pd.read_parquet(expected))
    else:
        assert found.read_bytes() == expected.read_bytes()


@given(rows=st.integers(1, 30), chunk_rows=st.integers(1, 9), of=st.integers(1, 5))
def test_every_row_is_in_exactly_one_shard(
    tmp_path_factory: pytest.TempPathFactory, rows: int, chunk_rows: int, of: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    paths = all_of(folder, of, ".jsonl", rows=rows, chunk_rows=chunk_rows)
    found = [json.loads(line)["row"] for path in paths for line in path.read_text("utf-8").split("\n")[:-1]]
    assert sorted(found) == list(range(1, rows + 1))
    whole(folder / "whole.jsonl", rows=rows, chunk_rows=chunk_rows)
    joined(paths, folder / "joined.jsonl")
    assert (folder / "joined.jsonl").read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_chunks_of_other_shards_are_not_scored(tmp_path: pathlib.Path) -> None:
    scored: list[int] = []

    def count(chunk: pd.DataFrame) -> pd.DataFrame:
        scored.append(int(chunk["row"].iloc[0]))
        return score(chunk)

    assert shard(tmp_path / "part.csv", 2, 3, score=count).rows == 14
    assert scored == [8, 29]


def test_the_manifest_counts_rows_and_scores(tmp_path: pathlib.Path) -> None:
    shard(tmp_path / "part.csv", 2, 3)
    manifest = files.read_json(tmp_path / "part.csv.manifest.json")
    table = pd.read_csv(tmp_path / "part.csv")
    assert (manifest["shard"], manifest["of"], manifest["rows"], manifest["chunk_rows"]) == (2, 3, 14, [7, 7])
    assert manifest["all"] == {"chunks": 6, "rows": ROWS}
    assert manifest["sha256"] == files.sha256(tmp_path / "part.csv")
    # Scores are sevenths: 0 is in the first of twenty bins, 1/7 in the third, 6/7 in the eighteenth.
    counts = manifest["histogram"]["score"]["counts"]
    assert [counts[index] for index in (0, 2, 17)] == [
        int((table["score"].round(4) == k).sum()) for k in (0, 0.1429, 0.8571)
    ]
    assert sum(counts) == 14
    assert manifest["histogram"]["score_other"]["other"] == int(table["score_other"].isna().sum()) > 0
    assert "sometimes" not in manifest["histogram"]


Plant = Callable[[list[pathlib.Path]], list[pathlib.Path]]


def rewrite(path: pathlib.Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = files.read_json(shards.manifest_of(path))
    change(manifest)
    files.write_json(shards.manifest_of(path), manifest)


def changed_row(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    paths[1].write_text(paths[1].read_text("utf-8").replace("plain", "pLain"), "utf-8")
    return paths


def changed_row_and_hash(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    table = pd.read_csv(paths[1], dtype=str, keep_default_na=False)
    table.iloc[:-1].to_csv(paths[1], index=False)
    rewrite(paths[1], lambda manifest: manifest.update(sha256=files.sha256(paths[1])))
    return paths


def another_histogram(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    rewrite(paths[1], lambda manifest: manifest["histogram"]["score"].update(other=1))
    return paths


def fewer_chunks(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    rewrite(paths[1], lambda manifest: manifest.update(chunk_rows=[14]))
    return paths


def no_manifest(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    shards.manifest_of(paths[1]).unlink()
    return paths


def no_file(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    paths[1].unlink()
    return paths


def twice(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    copy = paths[1].with_name("copy.csv")
    shutil.copy(paths[1], copy)
    shutil.copy(shards.manifest_of(paths[1]), shards.manifest_of(copy))
    return [*paths, copy]


def of_another_number(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    shard(paths[1], 2, 4, overwrite=True)
    return paths


def of_another_model(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    shard(paths[1], 2, 3, overwrite=True, made_of={"model": "b"})
    return paths


def of_other_inputs(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    shard(paths[1], 2, 3, overwrite=True, made_of={"inputs": [{"file": "in.csv", "bytes": ROWS, "sha256": "1"}]})
    return paths


def of_another_version(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    rewrite(paths[1], lambda manifest: manifest["made_of"].update(fieldnets="0.0.1"))
    return paths


def of_more_rows(paths: list[pathlib.Path]) -> list[pathlib.Path]:
    shard(paths[1], 2, 3, overwrite=True, chunks=chunks_of(frame(ROWS + 7), 7))
    return paths


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (changed_row, "part-2.csv: .* changed one"),
        (changed_row_and_hash, "part-2.csv: expected the rows 14. Received: 13"),
        (another_histogram, "part-2.csv: expected the histogram"),
        (fewer_chunks, "part-2.csv: expected the chunks 2. Received: 1"),
        (no_manifest, "part-2.csv: .*no part-2.csv.manifest.json"),
        (no_file, "part-2.csv: .*no part-2.csv$"),
        (twice, "copy.csv: expected each shard once. Received: shard 2/3, which .*part-2.csv is, too"),
        (lambda paths: [paths[0], paths[2]], "none that is shard 2 of 3"),
        (of_another_number, "part-2.csv: expected one of 3 shards, as .*part-1.csv. Received: shard 2/4"),
        (of_another_model, "part-2.csv: .*another model$"),
        (of_other_inputs, r"part-2.csv: .*another inputs \(changed: in.csv\)"),
        (of_another_version, "part-2.csv: .*another fieldnets$"),
        (of_more_rows, "part-2.csv: .*another number of rows"),
    ],
)
def test_a_planted_fault_is_refused_and_its_part_named(tmp_path: pathlib.Path, plant: Plant, said: str) -> None:
    paths = plant(all_of(tmp_path, 3, ".csv"))
    with pytest.raises(errors.InputError, match=said):
        joined(paths, tmp_path / "joined.csv")
    assert not list(tmp_path.glob("joined*"))


def test_shards_of_another_app_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"part-1.csv: expected a shard of apps.other. .*: one of apps.toy"):
        shards.checked(all_of(tmp_path, 2, ".csv"), app="apps.other")


def test_a_manifest_that_is_none_is_named(tmp_path: pathlib.Path) -> None:
    paths = all_of(tmp_path, 2, ".csv")
    shards.manifest_of(paths[0]).write_text("{}")
    with pytest.raises(errors.InputError, match=r"part-1.csv.manifest.json: .*without shard"):
        shards.checked(paths, app=APP)


def fails_at(row: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def fail(chunk: pd.DataFrame) -> pd.DataFrame:
        if row in chunk["row"].tolist():
            raise OSError("killed")
        return score(chunk)

    return fail


def test_a_killed_shard_leaves_neither_output_nor_manifest_and_is_resumed(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "part.csv"
    with pytest.raises(OSError, match="killed"):
        shard(output, 1, 2, score=fails_at(30))
    assert [path.name for path in tmp_path.iterdir()] == ["part.csv.partial"]
    assert shard(output, 1, 2, resume=True) == batch.Result(rows=21, resumed_rows=14)


def test_what_was_begun_as_another_shard_is_not_gone_on_with(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match="killed"):
        shard(tmp_path / "part.csv", 1, 2, score=fails_at(30))
    with pytest.raises(errors.InputError, match="another shard"):
        shard(tmp_path / "part.csv", 2, 2, resume=True)


def test_a_shard_killed_between_manifest_and_output_is_resumed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest comes first: an output without one could be neither merged nor resumed."""
    output = tmp_path / "part.csv"
    written = files.write_json

    def killed(path: pathlib.Path, content: Any) -> None:
        written(path, content)
        if path == shards.manifest_of(output):
            raise OSError("killed")

    monkeypatch.setattr(files, "write_json", killed)
    with pytest.raises(OSError, match="killed"):
        shard(output, 1, 1)
    monkeypatch.undo()
    assert not output.exists()
    shards.check_place(output)
    assert shard(output, 1, 1, resume=True).resumed_rows == ROWS
    whole(tmp_path / "whole.csv")
    joined([output], tmp_path / "joined.csv")
    assert (tmp_path / "joined.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_merge_that_was_killed_is_resumed(tmp_path: pathlib.Path) -> None:
    paths = all_of(tmp_path, 3, ".parquet")
    parts = shards.checked(paths, app=APP)

    def killed(_chunk: pd.DataFrame) -> pd.DataFrame:
        raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        shards.merge(parts, output=tmp_path / "joined.csv", finish=killed)
    assert not (tmp_path / "joined.csv").exists()
    assert joined(paths, tmp_path / "joined.csv", resume=True) == batch.Result(rows=ROWS, resumed_rows=ROWS)


def test_what_depends_on_the_rows_before_is_done_over_the_rows_of_all_shards(tmp_path: pathlib.Path) -> None:
    """As one call does it: a running number over all rows, which no shard could know."""

    class Numbering:
        seen = 0

        def number(self, chunk: pd.DataFrame) -> pd.DataFrame:
            found = chunk.assign(number=np.arange(self.seen, self.seen + len(chunk)))
            self.seen += len(chunk)
            return found

    joined(all_of(tmp_path, 3, ".csv"), tmp_path / "joined.csv", finish=Numbering().number)
    whole(tmp_path / "whole.csv", finish=Numbering().number)
    assert pd.read_csv(tmp_path / "joined.csv")["number"].tolist() == list(range(ROWS))
    assert (tmp_path / "joined.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_no_rows_at_all_are_an_error_in_every_shard(tmp_path: pathlib.Path) -> None:
    for number in (1, 2):
        with pytest.raises(errors.InputError, match="at least one row"):
            shard(tmp_path / "part.csv", number, 2, rows=0)
    assert not list(tmp_path.iterdir())


def test_a_manifest_never_replaces_a_file_of_somebody_else(tmp_path: pathlib.Path) -> None:
    shards.manifest_of(tmp_path / "part.csv").write_text('{"precious": 1}')
    with pytest.raises(errors.InputError, match="Received: another file"):
        shards.check_place(tmp_path / "part.csv")
