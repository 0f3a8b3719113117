"""Rewrite the golden numbers: ``python -m tests.golden`` (``make golden``). Look at the diff before committing it."""

import pathlib
import tempfile

from shared import files
from tests import golden, helpers


def main() -> None:
    """Train and evaluate every app's smoke preset, and write what came out."""
    for app in helpers.APPS:
        with tempfile.TemporaryDirectory() as scratch:
            command_line = helpers.CommandLine(pathlib.Path(scratch))
            run = files.RunFolder(pathlib.Path(scratch) / "run")
            command_line.run(f"apps.{app}", "train", "--preset", "smoke", "--run-dir", run.path)
            command_line.run(f"apps.{app}", "evaluate", "--run-dir", run.path)
            files.write_json(golden.path(app), golden.measure(run))
            print(golden.path(app))


if __name__ == "__main__":
    main()
