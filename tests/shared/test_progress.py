"""How many rows are to come, guessed without reading them all."""

import io
import pathlib
import threading

import pandas as pd
import pytest
import rich.console

from shared import progress


def test_rows_are_counted_by_what_a_file_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_text("text\none\ntwo")
    (tmp_path / "b.jsonl").write_text("{}\n{}\n{}\n")
    pd.DataFrame({"x": range(7)}).to_parquet(tmp_path / "c.parquet")
    (tmp_path / "empty.txt").write_text("")
    assert progress.expected([tmp_path / name for name in ("a.csv", "b.jsonl", "c.parquet", "empty.txt")]) == 12
    assert progress.expected([tmp_path]) == 4


def test_what_cannot_be_counted_is_unknown(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.parquet").write_text("no")
    (tmp_path / "a.txt").write_text("x\n")
    for names in (["broken.parquet"], ["a.txt", "film.mp4"], ["missing.csv"], []):
        assert progress.expected([tmp_path / name for name in names]) is None


def test_a_guess_that_was_too_low_grows(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x\ny\n")
    made = progress.counter()
    made.disable = False
    made.live.console = rich.console.Console(file=io.StringIO())
    monkeypatch.setattr(progress, "counter", lambda: made)
    with progress.rows("texts", [tmp_path / "a.txt"]) as advance:
        advance(1)
        assert (made.tasks[0].completed, made.tasks[0].total) == (1, 2)
        advance(4)
        assert (made.tasks[0].completed, made.tasks[0].total) == (5, 5)


def test_work_that_goes_on_where_nobody_looks_is_told_of_at_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    told = threading.Event()
    monkeypatch.setattr(progress.log, "info", lambda *_said: told.set())
    with progress.wanted(True), progress.heartbeat("export"):
        assert not told.wait(0.1), "a bar is drawn: no line beside it"
    with progress.wanted(False), progress.heartbeat("export"):
        assert told.wait(10)
    count = threading.active_count()
    with pytest.raises(KeyError), progress.wanted(False), progress.heartbeat("export"):
        raise KeyError
    assert threading.active_count() == count, "the thread ends with the work, also with one that fails"
