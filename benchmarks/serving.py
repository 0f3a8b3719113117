"""Our server beside LitServe and BentoML: the same SavedModel, requests, load generator and machine, in one run.

``python -m benchmarks.serving [--app NAME] [--seconds S] [--soak-seconds S] [--engine NAME] [--environment FOLDER]``.
The model is a smoke run of an app, medical_imaging unless told otherwise, asked for 16 rows (JPEG files of 64 pixels,
texts, transactions), one in a request, by wrk (``apt-get install wrk``) over 16 connections and over one. The servers
are asked in turns, so that a busy moment of the machine meets all.
LitServe and BentoML batch too, with one worker each, in an environment of their own, which is made where it is
missing; where they cannot be had, ours is measured alone.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks import engines, serving_requests

APPS = {"medical_imaging": "JPEG of 64 pixels", "sentiment": "text", "fraud_detection": "transaction"}
ROUNDS, CONNECTIONS = 5, (16, 1)
WARM_UP_SECONDS, START_SECONDS = 5, 180
ROOT = pathlib.Path(__file__).resolve().parent.parent
RIVALS = ROOT / "benchmarks" / "rivals"
PACKAGES = ("litserve==0.2.19", "bentoml==1.4.40", "tensorflow", "pillow")


@dataclasses.dataclass(frozen=True, eq=False)
class Server:
    """How a server is started, and where it is asked; ``restless``: it takes processor time when idle."""

    name: str
    command: list[str]
    url: str
    folder: pathlib.Path = RIVALS
    restless: bool = False


@dataclasses.dataclass(frozen=True)
class Found:
    """What wrk measured: requests a second, milliseconds, and requests without an answer."""

    rate: float
    p50: float
    p99: float
    failed: int


def main() -> None:
    arguments = parse()
    if shutil.which("wrk") is None:
        print("wrk is not installed: nothing is measured. Install it with `apt-get install wrk` and run this again.")
        return
    from shared.training import runtime

    runtime.quiet_logs()
    from shared.bundle import reading as bundle

    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as running:
        folder = pathlib.Path(scratch)
        loaded = bundle.load(export(arguments.app, folder, arguments.engine))
        rows = serving_requests.inputs(loaded)
        serving_requests.write(rows, folder)
        servers = [ours(loaded, arguments.engine), *theirs(loaded.path, arguments.environment)]
        processes = []
        for server in servers:
            processes.append(running.enter_context(started(server, folder)))
            check_answer(server, folder, loaded.run(first(rows)))
            for connections in CONNECTIONS:
                ask(server.url, folder, connections, WARM_UP_SECONDS)
            rest(server, processes[-1])
        print(f"{arguments.app}, {APPS[arguments.app]}: {os.cpu_count()} cores; medians of {ROUNDS} rounds")
        measure(dict(zip(servers, processes, strict=True)), loaded, rows, folder, arguments.seconds)
        if arguments.soak_seconds:
            soak(servers[0], processes[0], folder, arguments.soak_seconds)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--app", choices=list(APPS), default="medical_imaging", help="whose bundle is served")
    parser.add_argument("--seconds", type=int, default=4, help="of each of the measurements")
    parser.add_argument("--soak-seconds", type=int, default=60, help="of the watch on our server's memory; 0: none")
    parser.add_argument("--engine", default="tensorflow", help="ours; the rivals run the SavedModel by TensorFlow")
    default = pathlib.Path(tempfile.gettempdir()) / "fieldnets-rivals"
    parser.add_argument("--environment", type=pathlib.Path, default=default, help="of LitServe and BentoML")
    return parser.parse_args()


def measure(
    servers: dict[Server, psutil.Process],
    loaded: Any,
    rows: serving_requests.Arrays,
    folder: pathlib.Path,
    seconds: int,
) -> None:
    """Ask all in turns, ours first, and print the table."""
    found: dict[tuple[str, int], list[Found]] = {(server.name, size): [] for server in servers for size in CONNECTIONS}
    single, joined = [], []
    for _ in range(ROUNDS):
        single.append(direct(loaded, first(rows)))
        joined.append(direct(loaded, rows))
        for server, process in servers.items():
            wake(server, process)
            for size in CONNECTIONS:
                ask(server.url, folder, size, 1)
                found[server.name, size].append(ask(server.url, folder, size, seconds))
            rest(server, process)
    own = next(iter(servers)).name
    print(f"{'server':10s}{'connections':>12s}{'requests/s':>12s}{'p50 ms':>9s}{'p99 ms':>9s}{'failed':>8s}")
    for (name, size), each in found.items():
        print(f"{name:10s}{size:12d}{row(each)}  ours: {versus(found[own, size], each) if name != own else '1'}")
    ratios = [each.p50 / bare for each, bare in zip(found[own, 1], single, strict=True)]
    print(f"one row: direct call p50 {median(single):.1f} ms; ours over HTTP {median(ratios):.2f} times as long")
    count = serving_requests.ROWS
    print(f"{count} rows in one direct call: {1000 * count / median(joined):.0f} rows/s, what joining can reach")


def row(rows: list[Found]) -> str:
    rate, p50, p99 = (median([getattr(each, name) for each in rows]) for name in ("rate", "p50", "p99"))
    return f"{rate:12.0f}{p50:9.1f}{p99:9.1f}{sum(each.failed for each in rows):8d}"


def versus(own: list[Found], rows: list[Found]) -> str:
    """Compare within each round: the machine is not equally fast in all."""
    rate = median([mine.rate / each.rate for mine, each in zip(own, rows, strict=True)])
    p99 = median([mine.p99 / each.p99 for mine, each in zip(own, rows, strict=True)])
    return f"{rate:.2f} times the rate, {p99:.2f} times the p99"


def export(app: str, folder: pathlib.Path, engine: str) -> pathlib.Path:
    """Train and export a smoke run, with the engine that is asked for; return its bundle."""
    run = ("--run-dir", str(folder / "run"))
    formats = () if engine == "tensorflow" else ("--format", engine)
    engines.command_line(app, "train", "--preset", "smoke", *run)
    bundles = ("--output-dir", str(folder / "bundles"))
    return pathlib.Path(engines.command_line(app, "export", *run, *bundles, *formats)["bundle"])


def first(rows: serving_requests.Arrays) -> serving_requests.Arrays:
    return {name: values[:1] for name, values in rows.items()}


def direct(loaded: Any, rows: serving_requests.Arrays) -> float:
    """Return the median milliseconds of the signature itself."""
    times = []
    for _ in range(60):
        begun = time.perf_counter()
        loaded.run(rows)
        times.append(1000 * (time.perf_counter() - begun))
    return median(times[10:])


def ours(bundle: Any, engine: str) -> Server:
    port = free_port()
    app = [sys.executable, "-m", f"apps.{bundle.name}", "serve", "--quiet"]
    command = [*app, "--model-dir", str(bundle.path), "--port", port]
    url = f"http://127.0.0.1:{port}/v1/models/{bundle.name}:predict"
    return Server("fieldnets", [*command, "--engine", engine], url, ROOT)


def theirs(bundle: pathlib.Path, environment: pathlib.Path) -> list[Server]:
    """Return the rivals; none where their packages cannot be had."""
    if problem := install(environment.resolve()):
        print(f"LitServe and BentoML cannot be had, ours is measured alone: {problem}")
        return []
    binaries, ports = environment.resolve() / "bin", (free_port(), free_port())
    lit = [str(binaries / "python"), "litserve_server.py", str(bundle), ports[0]]
    bento = [str(binaries / "bentoml"), "serve", "bentoml_server:Classifier", "--host", "127.0.0.1", "--port", ports[1]]
    return [
        Server("LitServe", lit, f"http://127.0.0.1:{ports[0]}/predict", restless=True),
        Server("BentoML", ["env", f"SAVED_MODEL={bundle}", *bento], f"http://127.0.0.1:{ports[1]}/predict"),
    ]


def install(environment: pathlib.Path) -> str:
    """Make the rivals' environment where it is missing; return what stands against it, if anything."""
    import tensorflow as tf

    if (environment / "bin/litserve").exists() and (environment / "bin/bentoml").exists():
        return ""
    packages = [f"{name}=={tf.__version__}" if name == "tensorflow" else name for name in PACKAGES]
    python = str(environment / "bin/python")
    if shutil.which("uv"):
        steps = [["uv", "venv", "--allow-existing", "--python", sys.executable, str(environment)]]
        steps.append(["uv", "pip", "install", "--quiet", "--python", python, *packages])
    else:
        steps = [[sys.executable, "-m", "venv", str(environment)], [python, "-m", "pip", "install", "-q", *packages]]
    for step in steps:
        done = subprocess.run(step, check=False, capture_output=True, text=True)
        if done.returncode:
            return done.stderr.strip()[-300:]
    return ""


def free_port() -> str:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return str(opened.getsockname()[1])


@contextlib.contextmanager
def started(server: Server, folder: pathlib.Path) -> Iterator[psutil.Process]:
    """Start a server, wait until it answers, and end it with its children."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "BENTOML_DO_NOT_TRACK": "True"}
    log = folder / f"{server.name}.log"
    with log.open("w") as said:
        process = psutil.Popen(server.command, cwd=server.folder, env=environment, stdout=said, stderr=said)
    try:
        wait(server, process, (folder / "0.json").read_bytes(), log)
        yield process
    finally:
        for each in reversed(family(process)):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def rest(server: Server, process: psutil.Process) -> None:
    """Stop a restless server with its children, so that it takes nothing from the others."""
    for each in family(process) if server.restless else []:
        each.suspend()


def wake(server: Server, process: psutil.Process) -> None:
    for each in family(process) if server.restless else []:
        each.resume()


def family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def wait(server: Server, process: psutil.Process, body: bytes, log: pathlib.Path) -> None:
    """Return when the server answers its first request."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            post(server.url, body)
            return
        time.sleep(0.5)
    raise SystemExit(f"{server.name}: expected a server that answers. Received: {log.read_text()[-1000:]}")


def post(url: str, body: bytes) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def check_answer(server: Server, folder: pathlib.Path, expected: dict[str, np.ndarray]) -> None:
    """Hold the server to what the bundle itself says of the first row."""
    answer = post(server.url, (folder / "0.json").read_bytes())
    if not serving_requests.is_answer(answer, expected):
        raise SystemExit(f"{server.name}: expected the answer {expected}. Received: {answer}")


def wrk(url: str, folder: pathlib.Path, connections: int, seconds: int) -> list[str]:
    script = [
        "--timeout",
        "30s",
        "-s",
        str(RIVALS / "post_rows.lua"),
        url,
        "--",
        str(folder),
        str(serving_requests.ROWS),
    ]
    return ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *script]


def ask(url: str, folder: pathlib.Path, connections: int, seconds: int) -> Found:
    """Let wrk ask for so long."""
    done = subprocess.run(wrk(url, folder, connections, seconds), check=True, capture_output=True, text=True)
    said = json.loads(done.stdout.splitlines()[-1])
    rate = 1e6 * said["requests"] / said["microseconds"]
    return Found(rate=rate, p50=said["p50"] / 1000, p99=said["p99"] / 1000, failed=said["failed"])


def soak(server: Server, process: psutil.Process, folder: pathlib.Path, seconds: int) -> None:
    """Ask for long, and say how the server's memory grew."""
    held, begun = [], time.monotonic()
    with subprocess.Popen(wrk(server.url, folder, CONNECTIONS[0], seconds), stdout=subprocess.DEVNULL) as asking:
        while asking.poll() is None:
            held.append((time.monotonic() - begun, resident(process)))
            time.sleep(1)
    at, mebibytes = np.array(held).T
    quarter = max(len(at) // 4, 1)
    first, last = mebibytes[:quarter].mean(), mebibytes[-quarter:].mean()
    slope = 60 * np.polyfit(at, mebibytes, 1)[0]
    print(f"{server.name}, {seconds} s of {CONNECTIONS[0]} connections: memory {first:.0f} MiB in the first quarter,")
    print(f"{last - first:+.1f} MiB ({100 * (last / first - 1):+.2f} %) in the last; slope {slope:+.2f} MiB a minute")


def resident(process: psutil.Process) -> float:
    return sum(each.memory_info().rss for each in family(process)) / 2**20


if __name__ == "__main__":
    main()
