"""Serve functions in place of models, in a process of its own: ``replica.py REPOSITORY PORT``."""

import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from shared.serving import server, settings, versions
from tests.shared import stand_in

# Long enough that at any time some requests are being answered.
SECONDS = 0.02


def slowly(version: versions.Version, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    time.sleep(SECONDS)
    return version.bundle.run(inputs, signature=signature)


if __name__ == "__main__":
    options = settings.Settings(
        model_dirs=(pathlib.Path(sys.argv[1]),), port=int(sys.argv[2]), drain_seconds=0.5, shutdown_seconds=10.0
    )
    versions.Version._run = slowly  # type: ignore[assignment, method-assign]
    with stand_in.installed():
        server.serve(options)
