"""The apps as a person meets them: found in ``apps/``, run as processes. For the tests only."""

import contextlib
import dataclasses
import fcntl
import importlib
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import types
from collections.abc import Iterator, Sequence
from typing import Any

from shared import config, files, parser
from shared.training import runtime
from tests import commands

ROOT = pathlib.Path(__file__).parent.parent
APPS = sorted(path.parent.name for path in ROOT.glob("apps/*/__init__.py"))
# A child process finds this checkout from any folder, and its help is not broken into narrow lines.
# What TensorFlow reads at its import is as in the command line, also where a test's program imports it first.
ENVIRONMENT = {**runtime.DEFAULTS, **os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
START_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended as it was expected to."""

    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must be one JSON object and nothing else."""
        content = json.loads(self.stdout)
        assert isinstance(content, dict)
        return content


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """Runs modules in a folder of its own."""

    folder: pathlib.Path

    def run(self, module: str, *arguments: object, code: int = 0, timeout_seconds: float = 600) -> Finished:
        """Do what ``python -m module`` does, in a process of its own, and hold it to its exit code."""
        words = [module, *map(str, arguments)]
        exit_code, stdout, stderr = commands.run(
            words, self.folder, environment=ENVIRONMENT, timeout_seconds=timeout_seconds
        )
        assert exit_code == code, f"{' '.join(words)}\n{stdout}\n{stderr}"
        return Finished(stdout, stderr)


def a_certificate(unit: str = "text") -> dict[str, Any]:
    """Return the least that a ``split.json`` holds."""
    parts = ("train", "validation", "test")
    return {
        **{"unit": unit, "method": "whole units", "rows": 9, "fractions": dict.fromkeys(parts, 0.0)},
        **{"overlap": {}, "sha256": dict.fromkeys(parts, "0" * 64), "checks": {}},
    }


def smoke_run(app: str, folder: pathlib.Path) -> files.RunFolder:
    """Return the run that ``train --preset smoke`` makes in ``folder``, which test workers share: it is trained once.

    Whoever uses it may add to its evaluation, and changes nothing else.
    """
    run = files.RunFolder(folder / app / "run")
    run.path.parent.mkdir(parents=True, exist_ok=True)
    with (run.path.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not run.decision.exists():
            command_line = CommandLine(run.path.parent)
            finished = command_line.run(f"apps.{app}", "train", "--preset", "smoke", "--run-dir", run.path, "--json")
            assert finished.json["run_dir"] == str(run.path)
    return run


@contextlib.contextmanager
def serving(module: str, bundle_path: pathlib.Path, log: pathlib.Path) -> Iterator[tuple[Any, str]]:
    """Serve a bundle on a free port, yield the process and its address, and end it."""
    command = [sys.executable, "-m", module, "serve", "--model-dir", str(bundle_path), "--port", "0"]
    with log.open("w") as stream:
        server = subprocess.Popen(command, env=ENVIRONMENT, stdout=stream, stderr=stream)
    try:
        yield server, _address(server, log)
    finally:
        server.kill()
        server.wait()


def _address(server: "subprocess.Popen[bytes]", log: pathlib.Path) -> str:
    end = time.monotonic() + START_SECONDS
    while not (found := re.search(r"http://[\w.]+:\d+", log.read_text())):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    return found.group()


def config_of(app: str) -> type[config.Config]:
    """Return an app's config class."""
    found: type[config.Config] = importlib.import_module(f"apps.{app}.config").Config
    return found


def settings(config_class: type[config.Config], *, fractions: Sequence[float] | None = None, **changes: Any) -> Any:
    """Return the default config changed; paths become text and lists tuples, as flags are.

    Args:
        config_class: The app's config.
        fractions: Shares of train, validation and test.
        changes: Its fields.
    """
    if fractions is not None:
        changes |= {"validation_fraction": fractions[1], "test_fraction": fractions[2]}
    plain = {
        name: tuple(value) if isinstance(value, list) else str(value) if isinstance(value, pathlib.Path) else value
        for name, value in changes.items()
    }
    return config_class.default().replace(plain)


def predict_options(
    inputs: Sequence[pathlib.Path], output: pathlib.Path, settings: config.Config, **more: Any
) -> parser.PredictOptions:
    """Return what ``predict`` of a run is asked for without further flags, in chunks of two rows."""
    plain: dict[str, Any] = {"engine": "saved-model", "resume": False, "overwrite": False, "chunk_rows": 2, **more}
    return parser.PredictOptions(
        settings=settings, input=inputs, output=output, run_dir=pathlib.Path("run"), model_dir=None, **plain
    )


def samples_of(app: str) -> types.ModuleType:
    """Load ``tests/<app>/samples.py``: what to feed an app with."""
    spec = importlib.util.spec_from_file_location(f"samples_of_{app}", ROOT / "tests" / app / "samples.py")
    assert spec is not None
    assert spec.loader is not None
    samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(samples)
    return samples
