import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import batch, errors, resuming

# Scores 20 chunks of 5 rows, 30 ms each; every score is appended to a log, so that work done twice is seen.
CHILD = """
import pathlib, sys, time
import pandas as pd
from shared import batch
output, log, resume = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3] == "resume"
chunks = (pd.DataFrame({"row": range(5 * i, 5 * i + 5)}) for i in range(20))
def score(chunk):
    with log.open("a") as stream:
        stream.write(f"{chunk['row'].iloc[0]}\\n")
    time.sleep(0.03)
    return chunk.assign(score=chunk["row"] / 100)
result = batch.predict(chunks, score, output=output, plan={"rows": 100}, resume=resume)
print(result.rows, result.resumed_rows)
"""

TEXTS = ["plain", "", 'a "quoted", text', "line\nbreak", "né😀漢", " spaces ", "None", "1.5"]


def chunks_of(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    return (frame.iloc[start : start + rows] for start in range(0, len(frame), rows))


def score(chunk: pd.DataFrame) -> pd.DataFrame:
    return chunk.assign(score=chunk["row"].to_numpy() / np.float64(7), decision="abstain")


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"row": range(rows), "text": [TEXTS[row % len(TEXTS)] for row in range(rows)]})


def run(output: pathlib.Path, *, rows: int = 40, chunk_rows: int = 7, **options: Any) -> batch.Result:
    plan = {"rows": rows, "chunk_rows": chunk_rows}
    return batch.predict(chunks_of(frame(rows), chunk_rows), score, output=output, plan=plan, **options)


def read(path: pathlib.Path) -> pd.DataFrame:
    if path.suffix == ".csv":
        return pd.read_csv(path, keep_default_na=False, dtype={"text": "str"})
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.DataFrame([json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]])


@pytest.mark.parametrize("suffix", batch.FORMATS)
def test_every_format_holds_the_same_rows_in_the_order_of_the_input(tmp_path: pathlib.Path, suffix: str) -> None:
    output = tmp_path / f"scores{suffix}"
    assert run(output) == batch.Result(rows=40, resumed_rows=0)
    expected = score(frame(40))
    found = read(output)
    assert list(found.columns) == list(expected.columns)
    for column in expected:
        assert found[column].tolist() == expected[column].tolist()
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


@given(rows=st.integers(1, 30), chunk_rows=st.integers(1, 31))
def test_the_chunk_size_never_changes_the_output(tmp_path: pathlib.Path, rows: int, chunk_rows: int) -> None:
    run(tmp_path / "scores.jsonl", rows=rows, chunk_rows=chunk_rows, overwrite=True)
    run(tmp_path / "whole.jsonl", rows=rows, chunk_rows=1000, overwrite=True)
    assert (tmp_path / "scores.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_prediction_killed_again_and_again_loses_and_doubles_no_row(
    tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    output, log = tmp_path / "scores.csv", tmp_path / "log"
    command = [sys.executable, "-c", CHILD, str(output), str(log), "resume"]
    for chunks in (3, 9):
        with subprocess.Popen(command, env=environment) as child:
            until(lambda chunks=chunks: log.exists() and len(log.read_text().split()) >= chunks)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        assert not output.exists()
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    table = pd.read_csv(output)
    assert table["row"].tolist() == list(range(100))
    assert table["score"].tolist() == [row / 100 for row in range(100)]
    # Each kill may cost the chunk that was being scored, no more.
    assert 20 <= len(log.read_text().split()) <= 22
    assert finished.stdout.split()[0] == "100"
    # The second kill came at the start of the ninth scoring, two of which may have been cut short.
    assert int(finished.stdout.split()[1]) >= 7 * 5
    assert not output.with_name("scores.csv.partial").exists()


def until(condition: Any, timeout_seconds: float = 60) -> None:
    end = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < end, "the child did not get going"
        time.sleep(0.002)


def interrupt(output: pathlib.Path, *, after: int, plan: Mapping[str, object]) -> None:
    """Leave what a call leaves behind that fails in its chunk number ``after``."""

    def chunks() -> Iterator[pd.DataFrame]:
        for number, chunk in enumerate(chunks_of(frame(40), 7)):
            if number == after:
                raise OSError("the disk went away")
            yield chunk

    with pytest.raises(OSError, match="the disk went away"):
        batch.predict(chunks(), score, output=output, plan=plan)


def test_a_resumed_call_tells_how_much_was_there_and_scores_only_the_rest(tmp_path: pathlib.Path) -> None:
    output, plan = tmp_path / "scores.csv", {"rows": 40, "chunk_rows": 7}
    seen: list[int] = []
    interrupt(output, after=2, plan=plan)
    result = run(output, resume=True, on_rows=seen.append)
    assert result == batch.Result(rows=40, resumed_rows=14)
    assert seen == [7, 7, 7, 7, 7, 5]


def test_a_resume_with_another_plan_is_refused_and_says_what_changed(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "scores.csv"
    interrupt(output, after=2, plan={"rows": 40, "model": "a"})
    with pytest.raises(errors.InputError, match=r"another chunk_rows, model$"):
        run(output, resume=True)
    assert output.with_name("scores.csv.partial").exists()


def test_without_resume_an_interrupted_call_is_started_again(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "scores.csv"
    interrupt(output, after=2, plan={"another": "plan"})
    assert run(output) == batch.Result(rows=40, resumed_rows=0)


def test_resume_with_nothing_to_go_on_from_starts(tmp_path: pathlib.Path) -> None:
    assert run(tmp_path / "scores.csv", resume=True).rows == 40


def test_a_half_written_chunk_is_not_taken_for_a_whole_one(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "scores.csv"
    interrupt(output, after=2, plan={"rows": 40, "chunk_rows": 7})
    (output.with_name("scores.csv.partial") / ".00000003-abc.parquet").write_bytes(b"PAR1 half")
    assert run(output, resume=True).resumed_rows == 14
    assert read(output)["row"].tolist() == list(range(40))


def test_an_existing_output_is_kept_unless_it_may_be_replaced(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "scores.csv"
    output.write_text("precious")
    with pytest.raises(errors.InputError, match="--overwrite"):
        run(output)
    assert output.read_text() == "precious"
    run(output, overwrite=True)
    assert len(read(output)) == 40


def test_a_failure_keeps_the_output_that_was_to_be_replaced(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "scores.csv"
    output.write_text("precious")

    def fail(chunk: pd.DataFrame) -> pd.DataFrame:
        raise errors.InputError(f"row {len(chunk) - 2}: no text")

    with pytest.raises(errors.InputError, match="row 3"):
        batch.predict([frame(5)], fail, output=output, plan={}, overwrite=True)
    assert output.read_text() == "precious"


@pytest.mark.parametrize("name", ["scores.txt", "scores", "scores.CSV"])
def test_an_unknown_suffix_is_refused_before_any_work(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(errors.InputError, match=r"\.csv, \.jsonl, \.parquet"):
        run(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("chunks", [[], [frame(0)]])
def test_no_rows_at_all_is_an_error_that_leaves_nothing(tmp_path: pathlib.Path, chunks: list[pd.DataFrame]) -> None:
    with pytest.raises(errors.InputError, match="at least one row"):
        batch.predict(chunks, score, output=tmp_path / "scores.csv", plan={})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", batch.FORMATS)
def test_a_column_that_is_empty_in_the_first_chunk_may_have_values_later(tmp_path: pathlib.Path, suffix: str) -> None:
    output = tmp_path / f"scores{suffix}"
    chunks = [
        pd.DataFrame({"row": [0], "label": [None]}, dtype=object),
        pd.DataFrame({"row": [1], "label": ["positive"]}),
    ]
    batch.predict(chunks, lambda chunk: chunk, output=output, plan={})
    first, second = read(output)["label"].tolist()
    assert first == "" or pd.isna(first)
    assert second == "positive"


def test_a_missing_number_is_null_in_json_and_not_the_invalid_word_nan(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "scores.jsonl"
    batch.predict([pd.DataFrame({"score": [0.5, float("nan")]})], lambda chunk: chunk, output=output, plan={})
    assert output.read_text() == '{"score": 0.5}\n{"score": null}\n'


def folder_of(output: pathlib.Path) -> pathlib.Path:
    return output.with_name(output.name + ".partial")


def predict_files(paths: list[pathlib.Path], output: pathlib.Path, *, fail_at: str = "", resume: bool = False) -> None:
    """Score one file after another; what is scored is its content."""

    def content(chunk: pd.DataFrame) -> pd.DataFrame:
        if fail_at in chunk["file"].tolist():
            raise OSError("killed")
        return chunk.assign(content=[pathlib.Path(name).read_text() for name in chunk["file"]])

    chunks = (pd.DataFrame({"file": [str(path)], "row": [1]}) for path in paths)
    batch.predict(chunks, content, output=output, plan={"inputs": resuming.inputs(paths)}, resume=resume)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("one more", r"another inputs \(new: .*b0\.txt\)"),
        ("one less", r"another inputs \(missing: .*b\.txt\)"),
        ("same size", r"another inputs \(changed: .*a\.txt\)"),
        ("another order", r"another inputs \(in another order\)"),
        ("twice", r"another inputs \(in another order\)"),
    ],
)
def test_a_resume_with_other_inputs_is_refused_and_names_them(tmp_path: pathlib.Path, change: str, said: str) -> None:
    paths, output = [tmp_path / f"{name}.txt" for name in "abc"], tmp_path / "o.csv"
    for path in paths:
        path.write_text(path.stem)
    with pytest.raises(OSError, match="killed"):
        predict_files(paths, output, fail_at=str(paths[2]))
    if change == "one more":
        (tmp_path / "b0.txt").write_text("new")
        paths.insert(1, tmp_path / "b0.txt")
    elif change == "same size":
        paths[0].write_text("X")
    else:
        paths = {"one less": [paths[0], paths[2]], "another order": paths[::-1], "twice": [*paths, paths[0]]}[change]
    with pytest.raises(errors.InputError, match=said):
        predict_files(paths, output, resume=True)


def test_a_file_given_twice_is_answered_twice(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    predict_files([tmp_path / "a.txt"] * 2, tmp_path / "o.csv")
    assert read(tmp_path / "o.csv")["content"].tolist() == ["a", "a"]


@pytest.mark.parametrize("damage", ["of other rows", "of fewer rows", "no parquet"])
def test_a_part_that_is_not_of_its_rows_is_made_again(
    tmp_path: pathlib.Path, damage: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch.log, "propagate", True)
    paths, output = [tmp_path / f"{name}.txt" for name in "abc"], tmp_path / "o.csv"
    for path in paths:
        path.write_text(path.stem)
    with pytest.raises(OSError, match="killed"):
        predict_files(paths, output, fail_at=str(paths[2]))
    first, second = (folder_of(output) / f"0000000{number}.parquet" for number in (1, 2))
    if damage == "of other rows":
        first.write_bytes(second.read_bytes())
    elif damage == "of fewer rows":
        pd.read_parquet(first).iloc[:0].to_parquet(first)
    else:
        first.write_bytes(b"PAR1")
    predict_files(paths, output, resume=True)
    assert read(output)["content"].tolist() == ["a", "b", "c"]
    assert "is made again" in caplog.text
    assert first.name in caplog.text


@pytest.mark.parametrize("theirs", ["photo.jpg", "plan.json", "00000001.parquet", ""])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_somebody_else_in_the_place_of_the_parts_is_never_touched(
    tmp_path: pathlib.Path, theirs: str, resume: bool
) -> None:
    output = tmp_path / "scores.csv"
    place = folder_of(output)
    if theirs:
        place.mkdir()
        (place / theirs).write_text("precious")
    else:
        place.write_text("precious")
    with pytest.raises(errors.InputError, match="did not write"):
        run(output, resume=resume)
    assert (place / theirs).read_text() == "precious"


def test_a_call_killed_before_its_plan_was_whole_is_begun_again(tmp_path: pathlib.Path) -> None:
    output = tmp_path / "scores.csv"
    folder_of(output).mkdir()
    (folder_of(output) / ".plan-0a1b2c3d.json").write_text("{")
    assert run(output, resume=True).rows == 40


def test_two_processes_do_not_write_one_output_at_once(tmp_path: pathlib.Path, environment: dict[str, str]) -> None:
    output, log = tmp_path / "scores.csv", tmp_path / "log"
    command = [sys.executable, "-c", CHILD, str(output), str(log), "start"]
    with subprocess.Popen(command, env=environment) as child:
        until(log.exists)
        with pytest.raises(errors.InputError, match="by one process at a time"):
            run(output)
        assert child.wait() == 0
    assert pd.read_csv(output)["row"].tolist() == list(range(100))
    run(output, overwrite=True)


@pytest.mark.parametrize("suffix", batch.FORMATS)
@pytest.mark.parametrize("stem", ["x" * 240, os.fsdecode(b"scores \xff"), "שלום [1]?#%"])
def test_the_output_may_have_any_name_of_the_file_system(tmp_path: pathlib.Path, suffix: str, stem: str) -> None:
    output = tmp_path / (stem + suffix)
    interrupt(output, after=2, plan={"rows": 40, "chunk_rows": 7})
    assert run(output, resume=True).resumed_rows == 14
    assert [each.name for each in tmp_path.iterdir()] == [output.name]
    shown = output.rename(tmp_path / f"o{suffix}")
    assert read(shown)["row"].tolist() == list(range(40))
