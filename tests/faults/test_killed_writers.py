"""A write that is killed at any instant leaves the old version or the new one, and the next call ends as ever."""

import functools
import json
import pathlib
import re
from collections.abc import Callable

import pandas as pd
import pytest

from shared import errors, files
from tests.faults import children, trials, writers

MODULE = "tests.faults.writers"
pytestmark = pytest.mark.fault("kill -9")


def of_text(text: str) -> str:
    """Return the version of a text of one number again and again."""
    (version,) = set(text.rstrip(";").split(";"))
    return version


def of_file(folder: pathlib.Path) -> set[str]:
    return {of_text((folder / "table.txt").read_text())}


def of_folder(folder: pathlib.Path) -> set[str]:
    found = list((folder / "published").glob("*.txt"))
    assert len(found) == writers.FILES
    return {of_text(path.read_text()) for path in found}


def of_run(folder: pathlib.Path) -> set[str]:
    run = files.RunFolder.open(folder / "run")
    return {json.loads((run.path / name).read_text())["version"] for name in ("model.keras", "decision.json")}


def of_table(folder: pathlib.Path) -> set[str]:
    found = pd.read_parquet(folder / "rows.parquet")
    assert len(found) == writers.ROWS
    return set(map(of_text, found["text"]))


def of_scores(folder: pathlib.Path) -> set[str]:
    found = pd.read_csv(folder / "scores.csv")
    assert found["row"].tolist() == list(range(writers.ROWS))
    return {str(round(score - row / 7)) for row, score in found.itertuples(index=False)}


def of_verdicts(folder: pathlib.Path) -> set[str]:
    path = folder / "run" / "feedback.parquet"
    found = pd.read_parquet(path)["id"] if path.exists() else pd.Series([], dtype="str")
    assert len(found) % writers.ROWS == 0
    counts = found.str.partition("-")[0].value_counts()
    assert set(counts) <= {writers.ROWS}
    return {str(counts.index.astype(int).max())}


KINDS: dict[str, tuple[str, Callable[[pathlib.Path], set[str]]]] = {
    "a file": ("one_file", of_file),
    "a folder": ("one_folder", of_folder),
    "a run": ("one_run", of_run),
    "a table": ("one_table", of_table),
    "scores": ("one_prediction", of_scores),
    "verdicts": ("one_feedback", of_verdicts),
}


def a_place(folder: pathlib.Path) -> pathlib.Path:
    """Return a folder with a run in it, of which the functions write what they write."""
    run = files.RunFolder(folder / "run")
    files.write_json(run.config, {})
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_write_leaves_the_old_or_the_new(
    kind: str, tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    function, read = KINDS[kind]
    folder = a_place(tmp_path)
    first = plain.run([MODULE, str(folder), "0"], folder, function=function)
    assert (first.code, read(folder)) == (0, {"0"}), first.stderr
    # The first makes what the others replace.
    usual = plain.run([MODULE, str(folder), "0"], folder, function=function)
    before = "0"
    for number, harm in enumerate(children.instants(1, usual, trials.count(6, 100)), start=1):
        with tried.one(harm):
            ended = plain.run([MODULE, str(folder), str(number)], folder, function=function, **harm)
            assert ended.code in (0, -9), ended.stderr
            found = read(folder)
            assert found in ({before}, {str(number)})
            assert ended.code != 0 or found == {str(number)}
            before = found.pop()
    # Nothing that was left is in the next call's way.
    last = plain.run([MODULE, str(folder), "999"], folder, function=function)
    assert (last.code, read(folder)) == (0, {"999"}), last.stderr


def test_a_killed_prediction_goes_on_to_the_same_rows(
    tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    usual = plain.run([MODULE, str(tmp_path), "7"], tmp_path, function="one_prediction")
    output = tmp_path / "scores.csv"
    expected = output.read_bytes()
    for harm in children.instants(2, usual, trials.count(5, 100)):
        with tried.one(harm):
            output.unlink(missing_ok=True)
            plain.run([MODULE, str(tmp_path), "7"], tmp_path, function="one_prediction", **harm)
            assert not output.exists() or output.read_bytes() == expected
            if not output.exists():
                again = plain.run([MODULE, str(tmp_path), "7", True], tmp_path, function="one_prediction")
                assert again.code == 0, again.stderr
                assert list(children.held(tmp_path)) == ["scores.csv"]
            assert output.read_bytes() == expected


def test_a_killed_search_ends_in_the_same_settings(
    tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    search = functools.partial(plain.run, [MODULE, str(tmp_path), "5"], tmp_path, function="one_search")
    (tmp_path / "search-5").mkdir()
    usual = search()
    assert usual.code == 0, usual.stderr
    best = (tmp_path / "search-5" / "best.json").read_bytes()
    for number, harm in enumerate(children.instants(3, usual, trials.count(1, 40))):
        with tried.one(harm):
            (tmp_path / "search-5").rename(tmp_path / f"before-{number}")
            search(**harm)
            again = search()
            assert again.code == 0, again.stderr
            assert (tmp_path / "search-5" / "best.json").read_bytes() == best


def test_two_processes_on_one_folder_take_turns_or_the_second_is_refused(tmp_path: pathlib.Path) -> None:
    from shared import resuming

    folder = tmp_path / "run"
    with resuming.locked(folder, what="`train` into one run folder"):
        message = re.escape("by one process at a time. Received: a second one while the first runs")
        with pytest.raises(errors.InputError, match=message), resuming.locked(folder, what="`train`"):
            pass
