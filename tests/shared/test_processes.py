"""A child process runs the code of its parent, whatever the current folder holds."""

import math
import os
import pathlib
import subprocess
import sys

import pytest

from shared import errors, machine


@pytest.fixture
def shadow(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("apps", "shared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('shadowed')")
    return tmp_path


def test_a_module_of_a_checkout_is_found_from_a_folder_with_packages_of_its_names(shadow: pathlib.Path) -> None:
    command = [*machine.python_command("apps.sentiment"), "--help"]
    finished = subprocess.run(command, cwd=shadow, env=machine.python_environment(), capture_output=True, text=True)
    assert finished.stdout.startswith("usage: sentiment"), finished.stderr


def test_without_the_option_the_folder_would_shadow_it(shadow: pathlib.Path) -> None:
    command = [sys.executable, "-m", "apps.sentiment", "--help"]
    finished = subprocess.run(command, cwd=shadow, env=machine.python_environment(), capture_output=True, text=True)
    assert "shadowed" in finished.stderr


def test_the_environment_is_the_parents_with_the_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    root = str(pathlib.Path(errors.__file__).resolve().parent.parent)
    found = machine.python_environment(ANSWER="42")
    assert found == {**os.environ, "PYTHONPATH": os.pathsep.join([root, "/somewhere"]), "ANSWER": "42"}


def test_a_worker_that_is_ended_from_outside_is_an_error_that_names_what_goes_on() -> None:
    with (
        pytest.raises(errors.FieldnetsError, match=r"ended from outside.*--resume goes on"),
        machine.processes(2) as pool,
    ):
        machine.do_each(os._exit, [(3,), (3,)], pool, what="deaths")


def test_what_a_task_raises_reaches_the_caller_from_here_and_from_a_worker() -> None:
    for workers in (1, 2):
        with pytest.raises(ValueError, match=r"math domain error|nonnegative"), machine.processes(workers) as pool:
            machine.do_each(math.sqrt, [(4.0,), (-1.0,)], pool, what="roots")
