"""How a server is set up: what it serves, where, and what it accepts. No TensorFlow."""

import argparse
import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from shared import cli, errors

# What can run a bundle's network: the SavedModel itself first.
NETWORKS = ("tensorflow", "onnx", "openvino", "litert", "onnx-int8", "openvino-int8", "litert-int8")
ENGINES = ("auto", *NETWORKS)
TOKEN_VARIABLE = "FIELDNETS_TOKEN"
_MIB = 1 << 20
# Shares of the time to stop: for requests to be answered, and for models to finish what runs.
ANSWERING, RETIRING = 0.75, 0.2
_CLOUD = "://"
_STORAGE = "AIP_STORAGE_URI"
_HOST_NAME = re.compile(r"\*|\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """A server's settings; every limit is per request unless said otherwise.

    Attributes:
        model_dirs: Version folders, model folders or repositories.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        allowed_hosts: Names that requests may be addressed to (their field Host), beside addresses and ``localhost``;
            ``*`` allows all, a leading dot all names below. None: those without a dot where ``host`` is a loopback
            address, and all where it is another.
        engine: What runs the network, one of ``ENGINES``.
        threads: Cores that one operation of TensorFlow may use; 0: half of them, so that a batch is computed while the
            next one is read, but at least one.
        token: Who sends it as a bearer token may ask; None lets everyone.
        tls_cert: PEM file of the certificate chain; with ``tls_key`` the server speaks TLS only.
        tls_key: PEM file of its key.
        require_signature: PEM file of the public key with which every bundle must be signed; None: none need be.
        max_body_bytes: Largest body.
        max_values: Most values of a body in JSON: nobody else is answered while they are parsed.
        max_answer_bytes: Largest answer, estimated before it is computed and before it is written.
        max_rows: Most rows.
        max_pixels: Most pixels of an image.
        max_characters: Longest text, in bytes of UTF-8.
        max_connections: Most requests at a time; more are refused. Where more connections than this are open, the one
            that was idle longest ends.
        keep_alive_seconds: How long a connection without a request is kept: longer than a load balancer in front keeps
            it, which else sends a request on one that ends at that moment (60 s are usual).
        deadline_seconds: Longest time until an answer, reading the body included.
        shutdown_seconds: Longest time from SIGTERM to the end of the process; Kubernetes kills after 30 s.
        drain_seconds: Of these, how long requests are still accepted, while the health routes say that the server
            stops: so long a balancer needs to see it.
        queue_rows: Rows that may wait for one model; more are refused.
        batch_rows: Most rows that are answered together.
        batch_wait_seconds: Longest time that a request waits for others.
        poll_seconds: How often folders are looked at for new versions; 0 never.
        keep_versions: Newest versions of a model that are served.
        drift_rows_per_second: Rows that are compared with the drift reference at most; 0 compares none.
        health_route: Another health route, as Vertex AI asks for; empty: none.
        predict_route: Another route of the only model, as Vertex AI asks for; empty: none.
    """

    model_dirs: tuple[pathlib.Path, ...]
    host: str = "127.0.0.1"
    port: int = 8501
    allowed_hosts: tuple[str, ...] | None = None
    engine: str = "auto"
    threads: int = 0
    token: str | None = dataclasses.field(default=None, repr=False)
    tls_cert: pathlib.Path | None = None
    tls_key: pathlib.Path | None = None
    require_signature: pathlib.Path | None = None
    max_body_bytes: int = 32 * _MIB
    max_values: int = 1_000_000
    max_answer_bytes: int = 64 * _MIB
    max_rows: int = 1024
    max_pixels: int = 64_000_000
    max_characters: int = 200_000
    max_connections: int = 1_000
    keep_alive_seconds: float = 75.0
    deadline_seconds: float = 30.0
    shutdown_seconds: float = 25.0
    drain_seconds: float = 0.0
    queue_rows: int = 4096
    batch_rows: int = 32
    batch_wait_seconds: float = 0.002
    poll_seconds: float = 5.0
    keep_versions: int = 1
    drift_rows_per_second: float = 5.0
    health_route: str = ""
    predict_route: str = ""

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise errors.InputError("expected both --tls-cert and --tls-key, or neither. Received: one of them")
        if self.shutdown_seconds < 1 or self.drain_seconds > self.shutdown_seconds / 2:
            raise errors.InputError(
                "--drain-seconds: expected at most half of --shutdown-seconds, which is at least 1. "
                f"Received: {self.drain_seconds:g} of {self.shutdown_seconds:g}"
            )


def add_options(serve: argparse.ArgumentParser) -> None:
    """Add the options of the verb ``serve``."""
    default = Settings(model_dirs=())
    serve.add_argument(
        "--model-dir",
        type=pathlib.Path,
        action="append",
        required=_STORAGE not in os.environ,
        help="a bundle, a model's folder (its newest version, new ones as they come) or a repository; may be repeated",
    )
    serve.add_argument("--host", default=None, help=f"address to listen on (default: {default.host})")
    serve.add_argument(
        "--port", type=cli.at_least(0, 65535), help=f"port, 0 takes a free one (default: {default.port})"
    )
    serve.add_argument(
        "--allowed-hosts",
        action="append",
        metavar="NAME,...",
        help="names that requests may be addressed to, .NAME for all below, * for all (default: names without a dot, "
        "or, where --host is no loopback address, all)",
    )
    serve.add_argument("--engine", choices=ENGINES, default="auto", help="auto: the fastest that the bundle holds")
    serve.add_argument(
        "--threads", type=cli.at_least(0), default=0, help="cores for one operation; 0: half of them (default: 0)"
    )
    serve.add_argument("--token-file", type=pathlib.Path, help=f"bearer token to ask for (or {TOKEN_VARIABLE})")
    serve.add_argument("--tls-cert", type=pathlib.Path, help="PEM file of the certificate chain")
    serve.add_argument("--tls-key", type=pathlib.Path, help="PEM file of its key")
    serve.add_argument(
        "--require-signature", type=pathlib.Path, metavar="KEY", help="serve only what the owner of this key has signed"
    )
    whole = {
        "--max-body-mib": (default.max_body_bytes // _MIB, "largest body"),
        "--max-answer-mib": (default.max_answer_bytes // _MIB, "largest answer"),
        "--max-values": (default.max_values, "most values of a body in JSON"),
        "--max-rows": (default.max_rows, "most rows of a request"),
        "--max-pixels": (default.max_pixels, "most pixels of an image"),
        "--max-characters": (default.max_characters, "longest text, in bytes of UTF-8"),
        "--max-connections": (default.max_connections, "most requests at a time"),
        "--queue-rows": (default.queue_rows, "rows that may wait for a model"),
        "--batch-rows": (default.batch_rows, "most rows answered together"),
        "--keep-versions": (default.keep_versions, "newest versions of a model to serve"),
    }
    for flag, (value, help) in whole.items():
        serve.add_argument(flag, type=cli.at_least(1), default=value, help=f"{help} (default: {value})")
    numbers = {
        "--keep-alive-seconds": (default.keep_alive_seconds, "how long an idle connection is kept"),
        "--deadline-seconds": (default.deadline_seconds, "longest time until an answer"),
        "--shutdown-seconds": (default.shutdown_seconds, "longest time from SIGTERM to the end"),
        "--drain-seconds": (default.drain_seconds, "of these, how long requests are accepted while health says no"),
        "--batch-wait-ms": (1000 * default.batch_wait_seconds, "longest time to wait for other requests"),
        "--poll-seconds": (default.poll_seconds, "how often to look for new versions; 0: never"),
        "--drift-rows-per-second": (default.drift_rows_per_second, "rows compared with the drift reference; 0: none"),
    }
    for flag, (number, help) in numbers.items():
        serve.add_argument(flag, type=cli.not_negative, default=number, help=f"{help} (default: {number:g})")


def from_arguments(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read flags, and what Vertex AI sets: ``AIP_HTTP_PORT``, ``AIP_*_ROUTE`` and ``AIP_STORAGE_URI``.

    Flags win over variables.

    Raises:
        errors.InputError: No model is named, or a file cannot be read.
    """
    vertex = "AIP_HTTP_PORT" in environment
    found: dict[str, Any] = {
        "host": arguments.host or ("0.0.0.0" if vertex else None),
        "port": arguments.port if arguments.port is not None else _port(environment),
    }
    return Settings(
        model_dirs=tuple(arguments.model_dir or _stored(environment)),
        **{name: value for name, value in found.items() if value is not None},
        allowed_hosts=_names(arguments.allowed_hosts),
        engine=arguments.engine,
        threads=arguments.threads,
        token=_token(arguments.token_file, environment),
        tls_cert=_readable(arguments.tls_cert, "--tls-cert"),
        tls_key=_readable(arguments.tls_key, "--tls-key"),
        require_signature=_readable(arguments.require_signature, "--require-signature"),
        max_body_bytes=arguments.max_body_mib * _MIB,
        max_answer_bytes=arguments.max_answer_mib * _MIB,
        max_values=arguments.max_values,
        max_rows=arguments.max_rows,
        max_pixels=arguments.max_pixels,
        max_characters=arguments.max_characters,
        max_connections=arguments.max_connections,
        keep_alive_seconds=arguments.keep_alive_seconds,
        deadline_seconds=arguments.deadline_seconds,
        shutdown_seconds=arguments.shutdown_seconds,
        drain_seconds=arguments.drain_seconds,
        queue_rows=arguments.queue_rows,
        batch_rows=arguments.batch_rows,
        batch_wait_seconds=arguments.batch_wait_ms / 1000,
        poll_seconds=arguments.poll_seconds,
        keep_versions=arguments.keep_versions,
        drift_rows_per_second=arguments.drift_rows_per_second,
        health_route=environment.get("AIP_HEALTH_ROUTE", ""),
        predict_route=environment.get("AIP_PREDICT_ROUTE", ""),
    )


def _names(given: list[str] | None) -> tuple[str, ...] | None:
    """Return the host names of options, which may hold several."""
    if given is None:
        return None
    found = tuple(name.strip().lower() for each in given for name in each.split(","))
    if not all(_HOST_NAME.fullmatch(name) for name in found):
        raise errors.InputError(f"--allowed-hosts: expected names without a port. Received: {', '.join(given)!r:.100}")
    return found


def _stored(environment: Mapping[str, str]) -> list[pathlib.Path]:
    """Return where Vertex AI put the model; Cloud Storage itself is not read."""
    place = environment.get(_STORAGE, "")
    if not place:
        raise errors.InputError("expected --model-dir (a bundle that `export` wrote). Received: none")
    if _CLOUD in place:
        raise errors.InputError(
            f"{_STORAGE}: expected a folder. Received: {place} (copy it into the image and give --model-dir)"
        )
    return [pathlib.Path(place)]


def _port(environment: Mapping[str, str]) -> int | None:
    text = environment.get("AIP_HTTP_PORT")
    if text is None:
        return None
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise errors.InputError(f"AIP_HTTP_PORT: expected a port. Received: {text!r}")
    return int(text)


def _token(path: pathlib.Path | None, environment: Mapping[str, str]) -> str | None:
    text = environment.get(TOKEN_VARIABLE)
    if path is not None:
        found = _readable(path, "--token-file")
        text = found.read_text("utf-8") if found else ""
    if text is None:
        return None
    if not text.strip() or not text.strip().isascii():
        source = TOKEN_VARIABLE if path is None else str(path)
        raise errors.InputError(f"{source}: expected a token of ASCII characters. Received: another text")
    return text.strip()


def _readable(path: pathlib.Path | None, flag: str) -> pathlib.Path | None:
    if path is not None and not path.is_file():
        raise errors.InputError(f"{flag}: expected a file. Received: {path}")
    return path
