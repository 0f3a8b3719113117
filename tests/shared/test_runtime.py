"""Tests of the process set-up and of what environment.json says."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from shared import errors
from shared.training import runtime

SCRIPT = """
import json, sys
from shared.training import runtime
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
runtime.quiet_logs()
runtime.configure(seed=7, precision="mixed_bfloat16", threads=1)
with runtime.strategy("auto").scope():
    print(json.dumps(runtime.describe(seed=7)))
try:
    runtime.configure(seed=7, threads=2)
except runtime.errors.FieldnetsError as error:
    print(error)
"""


@pytest.mark.tensorflow
def test_a_process_starts_without_a_word_and_describes_itself(environment: dict[str, str]) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
    )
    described, refusal = finished.stdout.splitlines()
    facts = json.loads(described)
    assert finished.stderr == ""
    assert (facts["seed"], facts["precision"], facts["threads"]) == (7, "mixed_bfloat16", 1)
    assert facts["packages"].keys() == set(runtime.PACKAGES)
    assert facts["devices"][0]["type"] == "CPU"
    assert (facts["strategy"], facts["replicas"]) == ("_DefaultDistributionStrategy", 1)
    assert 1 <= facts["cpu_cores"] <= (os.cpu_count() or 1)
    assert "before the first TensorFlow operation" in refusal


def test_an_unknown_strategy_is_refused_by_name() -> None:
    with pytest.raises(errors.InputError, match=r"mirrored.*Received: 'ring'"):
        runtime.strategy("ring")


def test_what_was_held_back_is_shown_when_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with runtime._hold_back_standard_error():
        os.write(2, b"chatter")
    assert capfd.readouterr().err == ""

    @runtime._hold_back_standard_error()
    def fail() -> None:
        os.write(2, b"the reason")
        raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "the reason"


def test_the_commit_is_told_for_a_tracked_file_only(tmp_path: pathlib.Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    tracked, installed = tmp_path / "tracked.py", tmp_path / "installed.py"
    tracked.write_text("1")
    assert runtime._describe_checkout(tracked) == {"git_commit": None, "git_modified": None}
    git("init")
    git("add", "tracked.py")
    git("commit", "--message", "first")
    installed.write_text("2")
    assert runtime._describe_checkout(tracked) == {
        "git_commit": git("rev-parse", "HEAD"),
        "git_modified": False,
    }
    assert runtime._describe_checkout(installed)["git_commit"] is None
    tracked.write_text("3")
    assert runtime._describe_checkout(tracked)["git_modified"] is True


def test_a_missing_program_is_no_error() -> None:
    assert runtime._output(["a-program-that-nobody-has"]) is None
