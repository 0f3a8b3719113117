"""The verb ``serve``, the same in every app: a bundle says itself what it takes. Nothing heavy is imported before."""

import argparse
import contextlib
import logging
import sys

from shared import cli
from shared.serving import settings


def serve(arguments: argparse.Namespace) -> cli.Result:
    """Serve bundles until interrupted."""
    options = settings.from_arguments(arguments)
    from shared.serving import registry
    from shared.training import runtime

    registry.folders(options.model_dirs)

    runtime.limit_threads(operation_threads(options.threads))
    from shared.serving import server

    _log_requests(arguments)
    # uvicorn finishes what it accepted, and then raises the signal that stopped it.
    with contextlib.suppress(KeyboardInterrupt):
        server.serve(options)
    return {"served": ", ".join(map(str, options.model_dirs))}


def operation_threads(wanted: int = 0) -> int:
    """Return how many cores one operation of TensorFlow may use: as many as wanted, or half of them."""
    from shared import machine

    return wanted or max(machine.usable_cores() // 2, 1)


def _log_requests(arguments: argparse.Namespace) -> None:
    """Let each request be a line of JSON on standard error, unless quiet is asked for."""
    log = logging.getLogger("fieldnets.requests")
    log.propagate = False
    log.setLevel(logging.WARNING if arguments.quiet else logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
