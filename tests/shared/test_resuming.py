"""What a piece of work was made of, and that one process works on it at a time."""

import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from shared import errors, resuming

HOLDER = """
import pathlib, sys, time
from shared import resuming
with resuming.locked(pathlib.Path(sys.argv[1]), what="work", wait=True):
    pathlib.Path(sys.argv[2]).touch()
    time.sleep(float(sys.argv[3]))
"""
ADDER = """
import pathlib, sys
from shared import resuming
store = pathlib.Path(sys.argv[1]) / "store"
for _ in range(50):
    with resuming.locked(store.parent, what="work", wait=True):
        store.write_text(str(int(store.read_text()) + 1))
"""


def a_run(folder: pathlib.Path) -> pathlib.Path:
    for name in ("config.json", "model.keras", "decision.json", "champions/1/model.keras", "evaluation/metrics.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize("name", ["config.json", "model.keras", "decision.json", "champions/1/model.keras"])
def test_a_run_is_another_once_anything_that_decides_a_prediction_changes(tmp_path: pathlib.Path, name: str) -> None:
    before = resuming.run_digest(a_run(tmp_path))
    content = (tmp_path / name).read_text()
    (tmp_path / name).write_text(content[::-1])
    assert resuming.run_digest(tmp_path) != before
    (tmp_path / name).write_text(content)
    assert resuming.run_digest(tmp_path) == before


def test_a_run_stays_the_same_when_it_is_copied_evaluated_or_told_verdicts(tmp_path: pathlib.Path) -> None:
    before = resuming.run_digest(a_run(tmp_path / "run"))
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    (tmp_path / "copy" / "evaluation" / "metrics.json").write_text("other")
    for name in ("environment.json", "feedback.parquet", "history.csv", ".lock"):
        (tmp_path / "copy" / name).write_text("new")
    assert resuming.run_digest(tmp_path / "copy") == before


def test_a_folder_is_known_by_the_names_and_contents_of_its_files(tmp_path: pathlib.Path) -> None:
    def digest(**contents: str) -> str:
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_text(content)
        return resuming.digest(folder)

    assert digest(a="1", b="2") == digest(b="2", a="1")
    assert len({digest(a="1", b="2"), digest(a="2", b="1"), digest(a="12"), digest(a="1", b="2", c=""), digest()}) == 5


def test_what_is_begun_again_must_be_made_of_the_same_and_the_message_says_what_is_not(tmp_path: pathlib.Path) -> None:
    record = tmp_path / "work" / "record.json"
    made_of = {"data": "abc", "settings": {"seed": 1, "rate": 0.5, "sizes": (1, 2)}}
    resuming.begin(record, made_of, what="search")
    resuming.begin(record, made_of, what="search")
    changed = {"data": "abd", "settings": {"seed": 2, "rate": 0.5, "sizes": (1, 2)}}
    with pytest.raises(errors.InputError, match=r"work: expected the same search .* another data, seed$"):
        resuming.begin(record, changed, what="search")


def test_a_second_process_is_told_or_waits_and_a_killed_one_holds_nothing(
    tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    folder, held = tmp_path / "work", tmp_path / "held"
    command = [sys.executable, "-c", HOLDER, str(folder), str(held), "60"]
    with subprocess.Popen(command, env=environment) as holder:
        while not held.exists():
            time.sleep(0.01)
        with (
            pytest.raises(errors.InputError, match="work: expected tuning by one process"),
            resuming.locked(folder, what="tuning"),
        ):
            pytest.fail("two held it")
        holder.kill()
    with resuming.locked(folder, what="tuning"):
        pass


def test_nothing_is_lost_where_four_processes_add_to_one_store(
    tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    (tmp_path / "store").write_text("0")
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(tmp_path)], env=environment) for _ in range(4)]
    assert [adder.wait() for adder in adders] == [0, 0, 0, 0]
    assert (tmp_path / "store").read_text() == "200"


def test_a_lock_on_a_folder_that_is_deleted_meanwhile_is_a_lock_on_the_new_one(
    tmp_path: pathlib.Path, environment: dict[str, str]
) -> None:
    folder, held = tmp_path / "work", tmp_path / "held"
    command = [sys.executable, "-c", HOLDER, str(folder), str(held), "0"]
    with resuming.locked(folder, what="work"):
        waiting = subprocess.Popen(command, env=environment)
        time.sleep(0.5)
        shutil.rmtree(folder)
    assert waiting.wait() == 0
    assert held.exists()
    assert (folder / ".lock").exists()
