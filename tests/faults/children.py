"""Children that come to harm: what they were doing, what befell them, and what they left."""

import dataclasses
import hashlib
import json
import pathlib
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tests import helpers


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: Exit code; negative: the signal that ended it.
        stdout: What it printed.
        stderr: What it said.
        seconds: How long it ran.
        changes: How many changes of the file system it began.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    changes: int


class Zygote:
    """Starts children, each a copy of one process.

    Args:
        scratch: Where children's outputs go.
        tensorflow: Whether that process has imported TensorFlow.
    """

    def __init__(self, scratch: pathlib.Path, *, tensorflow: bool = False) -> None:
        self._scratch = scratch
        command = [sys.executable, "-m", "tests.faults.zygote", *(["tensorflow"] if tensorflow else [])]
        self._process = subprocess.Popen(
            command, cwd=helpers.ROOT, env=helpers.ENVIRONMENT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, words: list[object], folder: pathlib.Path, **harm: Any) -> Ended:
        """Do what ``words`` say in ``folder``, and come to harm as `zygote.Work` says."""
        output = str(self._scratch / "child")
        work: dict[str, Any] = {
            "words": [str(word) if isinstance(word, pathlib.Path) else word for word in words],
            **{"folder": str(folder), "output": output, **harm},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(work) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        printed, said = (
            pathlib.Path(f"{output}.{name}").read_text("utf-8", "replace") for name in ("stdout", "stderr")
        )
        return Ended(int(told["code"]), printed, said, told["seconds"], int(told["changes"]))

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def held(folder: pathlib.Path, *, but: Callable[[pathlib.PurePath], bool] = lambda _: False) -> dict[str, str]:
    """Return the files of a folder with the SHA-256 of each; hidden ones, and locks, are none."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts) and not but(name):
            found[name.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def instants(seed: int, undisturbed: Ended, number: int) -> Iterator[dict[str, Any]]:
    """Yield instants of a kill: half at a change of the file system or just after one, half at random times."""
    generator = random.Random(seed)
    for each in range(number):
        if each % 2 == 0 and undisturbed.changes:
            change = {"at_change": generator.randint(1, undisturbed.changes)}
            yield change | ({"later_seconds": generator.expovariate(200)} if generator.random() < 0.5 else {})
        else:
            yield {"at_seconds": generator.uniform(0, 1.02 * undisturbed.seconds)}
