"""What a killed command leaves is not taken for a result, and what ends one is said in a line."""

import errno
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest

from apps.fraud_detection import histories
from shared import cli, errors, files, resuming
from shared.bundle import reading
from shared.serving import registry
from tests.shared import test_cli

ROOT = pathlib.Path(__file__).parent.parent.parent


def a_version(folder: pathlib.Path) -> pathlib.Path:
    files.write_json(folder / reading.MANIFEST, {"files": {}})
    return folder


def test_what_an_export_left_is_no_bundle(tmp_path: pathlib.Path) -> None:
    left = a_version(tmp_path / "models" / "tiny" / ".export-abc" / "1")
    for path in (tmp_path / "models", tmp_path / "models" / "tiny", left.parent, left):
        with pytest.raises(errors.InputError, match=r"expected a (finished )?bundle"):
            registry.folders([path])
        with pytest.raises(errors.InputError, match=r"expected a (finished )?bundle"):
            reading.find(path)
    finished = a_version(tmp_path / "models" / "tiny" / "2")
    assert reading.find(tmp_path / "models") == reading.find(tmp_path / "models" / "tiny") == finished
    assert registry.folders([tmp_path / "models"]) == [(finished.parent, None)]
    a_version(tmp_path / "models" / ".hidden" / "3")
    assert registry.folders([tmp_path / "models"]) == [(finished.parent, None)]


@pytest.mark.parametrize("name", ["mybundle", "²", "１", "1.0", "-1", "9" * 19])
def test_a_version_folder_of_another_name_than_a_number_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    folder = a_version(tmp_path / "tiny" / name)
    with pytest.raises(errors.InputError, match="named by a number"):
        registry.folders([folder])
    with pytest.raises(errors.InputError, match="no bundle"):
        registry.folders([folder.parent])


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "split.csv"),
        RuntimeError("write failed: No space left on device"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_full_disk_is_no_fault_of_the_program(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(test_cli.raising(error), ["train"]) == 2
    said = capsys.readouterr().err
    assert "expected room to write" in said
    assert said.count("\n") == 1


@pytest.fixture(name="full")
def _full(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A disk of 64 kilobytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(full: pathlib.Path) -> None:
    path = full / "table.csv"
    files.write_text(path, "old")
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new" * 100_000)
    assert path.read_text() == "old"
    assert [each.name for each in full.iterdir()] == ["table.csv"]


def run_python(code: str, *, name: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = [{name!r}]; import fieldnets; {code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["/usr/bin/sentiment", "fraud-detection", "fieldnets"])
def test_a_command_that_is_interrupted_while_it_is_imported_ends_with_one_line(name: str) -> None:
    # A shell's background job ignores the signal.
    listens = "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    ended = run_python(f"{listens}; os.kill(os.getpid(), signal.SIGINT); input()", name=name)
    assert (ended.returncode, ended.stderr) == (130, f"{pathlib.Path(name).name}: interrupted\n")
    assert "ZeroDivisionError" in run_python("1 / 0", name=name).stderr


@pytest.mark.parametrize("name", ["django-admin", "", "-c"])
def test_a_program_of_somebody_else_keeps_its_way_of_being_interrupted(name: str) -> None:
    ended = run_python("raise KeyboardInterrupt", name=name)
    assert ended.returncode == -signal.SIGINT
    assert "Traceback" in ended.stderr


def test_the_beginning_of_a_plan_that_a_kill_left_is_in_nobodys_way(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "made.partial"
    folder.mkdir()
    (folder / ".plan-0123abcd.json").write_text("{")
    histories._refuse_foreign(folder)
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(errors.InputError, match="expected a place for unfinished work"):
        histories._refuse_foreign(folder)


def test_what_says_whose_a_folder_is_goes_last(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    for name in ("00000001.parquet", "plan.json", "a.parquet", resuming.LOCK):
        (tmp_path / name).touch()
    monkeypatch.setattr(pathlib.Path, "unlink", lambda path, **_: gone.append(path.name))
    resuming.clear(tmp_path)
    assert gone[-1] == "plan.json"
    assert len(gone) == 3
