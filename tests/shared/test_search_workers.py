"""A search by several processes: each trial is tried once, a killed one again, and none goes on without its parent."""

import collections
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

import optuna
import pytest

from shared import errors, files
from shared.training import tuning
from tests.shared import search_together


@pytest.fixture(autouse=True)
def from_here(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def tries(folder: pathlib.Path) -> list[list[str]]:
    return [line.split() for line in (folder / "log").read_text().splitlines()]


def test_each_trial_is_tried_by_one_of_two_processes(tmp_path: pathlib.Path) -> None:
    found = tuning.search(search_together.wanted(tmp_path / "search", trials=6, workers=2))
    assert sorted(name for name, _ in tries(tmp_path)) == [f"trial-00{number}" for number in range(6)]
    assert len({process for _, process in tries(tmp_path)}) == 2
    assert str(os.getpid()) not in {process for _, process in tries(tmp_path)}
    assert found["trials"] == 6
    assert files.read_json(pathlib.Path(found["config"]))["rate"] == found["best_settings"]["rate"]
    for name in ("history", "importance"):
        assert ElementTree.parse(found[name]).getroot().tag.endswith("svg")
    # Asked for again it tries nothing, and for more only the rest.
    assert tuning.search(search_together.wanted(tmp_path / "search", trials=7, workers=2))["trials"] == 7
    assert [name for name, _ in tries(tmp_path)][6:] == ["trial-006"]


def test_a_trial_whose_process_was_killed_is_tried_again_and_no_other(tmp_path: pathlib.Path) -> None:
    (tmp_path / "kill").touch()
    found = tuning.search(search_together.wanted(tmp_path / "search", trials=5, workers=2))
    counts = collections.Counter(name for name, _ in tries(tmp_path))
    assert counts == {f"trial-00{number}": 1 + (number == 2) for number in range(5)}
    assert found["trials"] == 5


def test_bad_input_ends_the_search_with_the_code_of_the_process_that_met_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "refuse").touch()
    with pytest.raises(SystemExit) as ended:
        tuning.search(search_together.wanted(tmp_path / "search", trials=4, workers=2))
    assert ended.value.code == errors.InputError.exit_code


def test_processes_end_with_the_one_that_started_them_and_the_search_goes_on(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, search_together.__file__, str(tmp_path / "search"), "40", "2"]
    with subprocess.Popen(command) as parent:
        end = time.monotonic() + 60
        while not ((tmp_path / "log").exists() and len(tries(tmp_path)) >= 3):
            assert time.monotonic() < end
            time.sleep(0.02)
        parent.send_signal(signal.SIGKILL)
    time.sleep(1.0)
    before = tries(tmp_path)
    time.sleep(1.0)
    assert tries(tmp_path) == before
    assert len(before) < 40
    trials = len(before) + 1
    subprocess.run([*command[:3], str(trials), "2"], check=True)
    counts = collections.Counter(name for name, _ in tries(tmp_path))
    # The kill cut at most one trial of each process off.
    assert len(counts) == trials
    assert sum(counts.values()) <= trials + 2


def test_a_journal_that_ends_in_half_a_line_is_gone_on_with(tmp_path: pathlib.Path) -> None:
    alone = search_together.wanted(tmp_path / "search", trials=2, workers=1)
    tuning.search(alone)
    with (tmp_path / "search" / "search.journal").open("ab") as stream:
        stream.write(b'{"op_code":4,"wor')
    more = search_together.wanted(tmp_path / "search", trials=3, workers=1)
    assert tuning.search(more)["trials"] == 3
    optuna.logging.set_verbosity(optuna.logging.INFO)


def test_a_search_that_kept_its_trials_in_a_database_is_refused(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "search"
    folder.mkdir()
    for name in ("search.json", "search.db"):
        (folder / name).write_text("{}")
    with pytest.raises(
        errors.InputError, match=r"search\.journal\. Received: one from before, in search\.db; begin a new"
    ):
        tuning.search(search_together.wanted(folder, trials=2, workers=1))
    assert sorted(path.name for path in folder.iterdir()) == ["search.db", "search.json"]


@pytest.mark.tensorflow
def test_a_trial_that_falls_behind_is_ended_and_counts_as_tried(tmp_path: pathlib.Path) -> None:
    """The later a trial, the worse it is in every epoch; the first four come to their end whatever they are."""
    from shared.training import callbacks

    epochs: dict[str, int] = {}

    def learn(_settings: search_together.Toy, folder: files.RunFolder) -> dict[str, dict[str, float]]:
        number, rows = int(folder.path.name[-3:]), list[dict[str, float]]()
        # The second network's epochs are not compared: they would say that the first four are bad.
        for network, better in (("a", 0.0), ("b", -1.0)):
            listener = callbacks.Reports(rows, folder.path / network)
            for epoch in range(1, 6):
                rows.append({"epoch": epoch, "validation_metric": better - number})
                epochs[folder.path.name] = epochs.get(folder.path.name, 0) + 1
                listener.on_epoch_end(epoch - 1)
        return {"validation": {"auroc": -float(number)}}

    asked = search_together.wanted(tmp_path / "search", trials=6, workers=1)
    found = tuning.search(dataclasses.replace(asked, train=learn, prune=True, start=None))
    assert (found["trials"], found["pruned"], found["best_validation_auroc"]) == (6, 2, 0.0)
    assert list(epochs.values()) == [10, 10, 10, 10, 2, 2]
    with pytest.raises(errors.InputError, match="another prune"):
        tuning.search(asked)
    optuna.logging.set_verbosity(optuna.logging.INFO)
