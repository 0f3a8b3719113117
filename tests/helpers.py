"""The apps as a person meets them: found in ``apps/``, run as processes. For the tests only."""

import contextlib
import dataclasses
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
from collections.abc import Iterator
from typing import Any

from shared import config

ROOT = pathlib.Path(__file__).parent.parent
APPS = sorted(path.parent.name for path in ROOT.glob("apps/*/__init__.py"))
# A child process finds this checkout from any folder, and its help is not broken into narrow lines.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"}
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

    def run(self, module: str, *arguments: object, code: int = 0, timeout_seconds: float = 300) -> Finished:
        """Run ``python -m module`` and hold it to its exit code."""
        finished = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        said = f"{module} {' '.join(map(str, arguments))}\n{finished.stdout}\n{finished.stderr}"
        assert finished.returncode == code, said
        return Finished(finished.stdout, finished.stderr)


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


def samples_of(app: str) -> types.ModuleType:
    """Load ``tests/<app>/samples.py``: what to feed an app with."""
    spec = importlib.util.spec_from_file_location(f"samples_of_{app}", ROOT / "tests" / app / "samples.py")
    assert spec is not None
    assert spec.loader is not None
    samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(samples)
    return samples
