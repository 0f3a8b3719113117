"""A folder of several files is the old one or the new one, whole, wherever the call that writes it is killed."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from shared import files, published

ROOT = pathlib.Path(__file__).parent.parent.parent


class Killed(BaseException):
    """Stands for SIGKILL."""


def write(folder: pathlib.Path, content: str, *names: str) -> None:
    with published.folder(folder) as scratch:
        for name in names:
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).write_text(content)


def held(folder: pathlib.Path) -> dict[str, str]:
    found = sorted(folder.rglob("*")) if folder.exists() else []
    return {
        each.relative_to(folder).as_posix(): each.read_text()
        for each in found
        if each.is_file() and each.name != published.LIST
    }


def test_what_a_call_wrote_before_goes_and_what_others_wrote_stays(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "data"
    write(folder, "old", "split.json", "a/1.png", "a/2.png")
    (folder / "a" / "mine.txt").write_text("mine")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("a/mine.txt")
    write(folder, "new", "split.json", "a/1.png")
    assert held(folder) == {"split.json": "new", "a/1.png": "new", "a/mine.txt": "mine", "link": "mine"}
    assert (folder / "empty").is_dir()
    assert (folder / "link").is_symlink()
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_a_block_that_fails_or_writes_nothing_changes_nothing(tmp_path: pathlib.Path) -> None:
    with published.folder(tmp_path / "new"):
        pass
    write(tmp_path / "data", "old", "a")
    (tmp_path / "data" / "b").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "data", "new", "a", "b/1", "b")
    (tmp_path / "data" / "b").rmdir()
    assert [each.name for each in tmp_path.iterdir()] == ["data"]
    assert held(tmp_path / "data") == {"a": "old"}


def kill_at(patch: pytest.MonkeyPatch, step: int) -> list[str]:
    """Let the ``step``-th change of the file system kill the process before it is made; return those that came."""
    came: list[str] = []

    def counted(of: Any, name: str) -> None:
        real = getattr(of, name)

        def change(*arguments: Any, **options: Any) -> Any:
            came.append(name)
            if len(came) > step:
                raise Killed
            return real(*arguments, **options)

        patch.setattr(of, name, change)

    for of, names in (
        (pathlib.Path, ("rename", "replace", "mkdir", "write_text", "unlink")),
        (os, ("link", "open")),
        (shutil, ("rmtree",)),
        (published, ("_exchanged",)),
    ):
        for name in names:
            counted(of, name)
    return came


@pytest.mark.parametrize("existing", [True, False])
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path: pathlib.Path, existing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"split.json": "old", "a/1": "old", "mine": "mine"} if existing else {}
    new = {"split.json": "new", "b/1": "new", **({"mine": "mine"} if existing else {})}
    outcomes = []
    for step in range(100):
        folder = tmp_path / str(step) / "data"
        if existing:
            write(folder, "old", "split.json", "a/1")
            (folder / "mine").write_text("mine")
        with monkeypatch.context() as patch:
            came = kill_at(patch, step)
            with contextlib.suppress(Killed):
                write(folder, "new", "split.json", "b/1")
        assert held(folder) in (old, new)
        outcomes.append(held(folder) == new)
        # The next call is not in its way.
        write(folder, "new", "split.json", "b/1")
        assert held(folder) == new
        if len(came) <= step:
            break
    assert outcomes == sorted(outcomes)
    assert outcomes[-1] is True
    assert len(outcomes) > 6


WRITER = """
import pathlib, sys
from shared import published
folder, number = pathlib.Path(sys.argv[1]), 0
while True:
    number += 1
    with published.folder(folder) as scratch:
        for name in range(20):
            (scratch / f"{name}.txt").write_text(str(number))
    print(number, flush=True)
"""


def test_real_kills_leave_a_whole_folder(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "data"
    for kill in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.003 * kill)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found = held(folder)
        assert len(found) == 20
        assert len(set(found.values())) == 1


def test_without_renameat2_the_new_folder_comes_in_two_renames(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_exchanged", lambda *_: False)
    write(tmp_path / "data", "old", "a")
    write(tmp_path / "data", "new", "b")
    assert held(tmp_path / "data") == {"b": "new"}
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_a_list_that_cannot_be_read_takes_nothing_away(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "data", "old", "a")
    for content in ("{", '{"files": 3}', '{"files": [3]}'):
        (tmp_path / "data" / published.LIST).write_text(content)
        write(tmp_path / "data", "new", "b")
        assert held(tmp_path / "data") == {"a": "old", "b": "new"}
        files.write_json(tmp_path / "data" / published.LIST, {"files": ["b"]})


def test_the_current_folder_keeps_its_name_and_gets_one_file_after_the_other(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    write(folder, "old", "split.json", "a/1.png")
    (folder / "mine.txt").write_text("mine")
    here = folder.stat().st_ino
    monkeypatch.chdir(folder)
    write(pathlib.Path(), "new", "split.json", "b/1.png")
    assert held(folder) == {"split.json": "new", "b/1.png": "new", "mine.txt": "mine"}
    assert folder.stat().st_ino == pathlib.Path().stat().st_ino == here
    assert [each.name for each in tmp_path.iterdir()] == ["data"]
    assert not any(each.is_dir() and each.name.startswith(".") for each in folder.iterdir())


def test_a_folder_on_which_a_disk_is_mounted_gets_its_files_too(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        write(folder, "old", "a", "b/1")
        write(folder, "new", "a")
        assert held(folder) == {"a": "new"}
    finally:
        subprocess.run(["umount", folder], check=True)


def test_where_files_have_the_same_names_in_every_call_there_is_no_list(tmp_path: pathlib.Path) -> None:
    for content in ("old", "new"):
        with published.folder(tmp_path / "evaluation", listed=False) as into:
            (into / "metrics.json").write_text(content)
    assert [each.name for each in (tmp_path / "evaluation").iterdir()] == ["metrics.json"]
    assert held(tmp_path / "evaluation") == {"metrics.json": "new"}
