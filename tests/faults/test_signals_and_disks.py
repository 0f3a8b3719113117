"""Interrupted, without room or leave to write, short of memory, with a clock that jumps: one line, nothing torn."""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests import helpers
from tests.faults import children, test_killed_verbs, trials

NAMES = ["reviews.csv", "payments.csv"]


@pytest.fixture(params=NAMES if trials.WHOLE else NAMES[:1])
def call(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> test_killed_verbs.Call:
    return test_killed_verbs.data_call(request.param, tmp_path)


def run(zygote: children.Zygote, call: test_killed_verbs.Call, folder: pathlib.Path, **harm: Any) -> children.Ended:
    return zygote.run(call.words, folder, environment=helpers.ENVIRONMENT, **harm)


def hidden(folder: pathlib.Path) -> list[str]:
    return [path.name for path in folder.rglob(".*") if path.name != ".written.json"]


def one_line(said: str) -> str:
    """Return what a call said, which must be a line and no traceback; notes of a log may stand before it."""
    assert "Traceback" not in said
    return said.splitlines()[-1]


def spread(changes: int, number: int) -> list[int]:
    """Return so many of the changes, or all, evenly."""
    step = max(1, changes // number)
    return list(range(1, changes + 1, step))


@pytest.mark.fault("signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_call_that_is_interrupted_says_so_and_leaves_the_old_or_the_new(
    number: signal.Signals, call: test_killed_verbs.Call, tmp_path: pathlib.Path, plain: children.Zygote,
    tried: trials.Trials,
) -> None:  # fmt: skip
    usual = run(plain, call, tmp_path)
    expected = test_killed_verbs.held(tmp_path, call)
    for harm in children.instants(8, usual, trials.count(2, 60)):
        with tried.one(harm):
            before = test_killed_verbs.put_old(tmp_path, call, list(expected))
            ended = run(plain, call, tmp_path, signal=number, **harm)
            found = test_killed_verbs.held(tmp_path, call)
            # A signal that comes before the command line is read ends Python's own way.
            assert ended.code in (0, 130, -number, 1), ended.stderr
            if ended.code == 130:
                assert one_line(ended.stderr).endswith(": interrupted")
                assert hidden(tmp_path) == []
            assert found in (before, expected)
            assert ended.code != 0 or found == expected


@pytest.mark.fault("disk")
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "expected room to write"),
        (errno.EDQUOT, "expected room to write"),
        (errno.EROFS, "expected a path that can be used"),
        (errno.EACCES, "expected a path that can be used"),
        (errno.EIO, "expected a disk that works"),
    ],
)
def test_a_disk_that_fails_at_any_write_is_one_line_and_leaves_the_old(
    number: int, said: str, call: test_killed_verbs.Call, tmp_path: pathlib.Path, plain: children.Zygote,
    tried: trials.Trials,
) -> None:  # fmt: skip
    usual = run(plain, call, tmp_path)
    expected = test_killed_verbs.held(tmp_path, call)
    for change in spread(usual.changes, trials.count(2, 1_000)):
        with tried.one(change):
            before = test_killed_verbs.put_old(tmp_path, call, list(expected))
            ended = run(plain, call, tmp_path, at_change=change, errno=number)
            found = test_killed_verbs.held(tmp_path, call)
            assert ended.code in (0, 2), ended.stderr
            if ended.code == 2:
                assert said in one_line(ended.stderr)
            assert found == (expected if ended.code == 0 else before) or found == expected
            if number == errno.ENOSPC:
                assert hidden(tmp_path) == []


@pytest.fixture(name="disk")
def _disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(path: pathlib.Path) -> None:
    """Write until there is no room."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(handle, b"x" * 1024)
    os.close(handle)


@pytest.mark.fault("disk")
@pytest.mark.parametrize("name", NAMES if trials.WHOLE else NAMES[:1])
def test_on_a_real_disk_that_is_full_or_read_only_the_old_stays(
    name: str, tmp_path: pathlib.Path, disk: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    call = test_killed_verbs.data_call(name, tmp_path)
    assert run(plain, call, disk).code == 0
    before = test_killed_verbs.held(disk, call)
    with tried.one("full"):
        fill(disk / "filler")
        ended = run(plain, call, disk)
        assert ended.code == 2
        assert "expected room to write" in one_line(ended.stderr)
        assert test_killed_verbs.held(disk, call) == before
        assert hidden(disk) == []
        (disk / "filler").unlink()
    with tried.one("read-only"):
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = run(plain, call, disk)
        assert ended.code == 2
        assert "expected a path that can be used" in one_line(ended.stderr)
        assert test_killed_verbs.held(disk, call) == before
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@pytest.mark.fault("disk")
def test_a_file_that_may_not_grow_is_one_line(
    call: test_killed_verbs.Call, tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    assert run(plain, call, tmp_path).code == 0
    before = test_killed_verbs.held(tmp_path, call)
    for size in (0, 10, 500, 1_000)[: trials.count(2, 4)]:
        with tried.one(size):
            ended = run(plain, call, tmp_path, limit=("RLIMIT_FSIZE", size))
            assert ended.code in (0, 2, 120) or size == 0, ended.stderr
            assert test_killed_verbs.held(tmp_path, call) == before


@pytest.mark.fault("memory")
def test_a_limit_of_memory_leaves_the_old(
    call: test_killed_verbs.Call, tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    assert run(plain, call, tmp_path).code == 0
    expected = test_killed_verbs.held(tmp_path, call)
    for mebibytes in (1, 2, 4, 8, 16, 32, 48, 64, 96, 128)[:: trials.count(4, 1)]:
        with tried.one(mebibytes):
            before = test_killed_verbs.put_old(tmp_path, call, list(expected))
            ended = run(plain, call, tmp_path, beyond_mebibytes=mebibytes)
            found = test_killed_verbs.held(tmp_path, call)
            assert found == (expected if ended.code == 0 else before)
            # Some libraries end the process where there is no memory for a thread of theirs.
            assert "Traceback" not in ended.stderr, ended.stderr
            assert ended.code != 2 or "memory" in one_line(ended.stderr)
            assert ended.code != 1, ended.stderr


@pytest.mark.fault("clock")
@pytest.mark.parametrize("jump", [-20 * 365 * 86_400, -3_600, 86_400, 20 * 365 * 86_400])
def test_a_clock_that_jumps_changes_nothing(
    jump: int, call: test_killed_verbs.Call, tmp_path: pathlib.Path, plain: children.Zygote, tried: trials.Trials
) -> None:
    assert run(plain, call, tmp_path).code == 0
    expected = test_killed_verbs.held(tmp_path, call)
    with tried.one(jump):
        ended = run(plain, call, tmp_path, at_change=1, clock_seconds=jump)
        assert ended.code == 0, ended.stderr
        assert test_killed_verbs.held(tmp_path, call) == expected
