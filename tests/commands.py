"""Commands in processes of their own, each a copy of one that has imported the heavy libraries.

``multiprocessing``'s fork server is that process, one for each test worker. Importing TensorFlow anew costs more
processor time than most of the commands that are tested.
"""

import multiprocessing
import os
import pathlib
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence

_PREPARED = multiprocessing.get_context("forkserver")
_PREPARED.set_forkserver_preload(["tests.preloaded"])


def run(
    words: Sequence[str], folder: pathlib.Path, *, environment: Mapping[str, str], timeout_seconds: float
) -> tuple[int | None, str, str]:
    """Do in ``folder`` what ``python -m`` does with these words.

    Returns:
        Exit code (negative: the signal that ended it), standard output and standard error.
    """
    with tempfile.TemporaryDirectory() as scratch:
        outputs = [pathlib.Path(scratch, name) for name in ("stdout", "stderr")]
        process = _PREPARED.Process(target=_run, args=(words, folder, dict(environment), *outputs))
        process.start()
        process.join(timeout_seconds)
        if process.is_alive():
            process.kill()
            process.join()
        stdout, stderr = (output.read_text("utf-8") if output.exists() else "" for output in outputs)
    return process.exitcode, stdout, stderr


def _run(
    words: Sequence[str],
    folder: pathlib.Path,
    environment: Mapping[str, str],
    stdout: pathlib.Path,
    stderr: pathlib.Path,
) -> None:
    for descriptor, path in ((1, stdout), (2, stderr)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, descriptor)
        os.close(handle)
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
