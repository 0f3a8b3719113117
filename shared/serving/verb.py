"""The verb ``serve``, the same in every app: a bundle says itself what it takes. Nothing heavy is imported before."""

import argparse

from shared import cli


def serve(arguments: argparse.Namespace) -> cli.Result:
    """Serve a bundle until interrupted."""
    from shared.serving import bundle

    bundle.find(arguments.model_dir)
    from shared import runtime

    runtime.quiet_logs()
    from shared.serving import server

    server.serve(bundle.load(arguments.model_dir), host=arguments.host, port=arguments.port)
    return {"served": str(arguments.model_dir)}
