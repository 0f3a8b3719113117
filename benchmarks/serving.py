"""Our server beside LitServe and BentoML: the same SavedModel, requests, load generator and machine, in one run.

``python -m benchmarks.serving [--seconds S] [--soak-seconds S] [--environment FOLDER]``. The model is a smoke run of
medical_imaging, asked for 16 images in turn by wrk (``apt-get install wrk``) over 1 and 16 connections, after a
warm-up. LitServe and BentoML batch too, with one worker each, in an environment of their own, which is made where it
is missing; where they cannot be had, ours is measured alone.
"""

import argparse
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
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil

RIVALS = pathlib.Path(__file__).parent / "rivals"
BODIES = 16
NAME = "medical_imaging"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--soak-seconds", type=int, default=60)
    parser.add_argument("--environment", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "rivals")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed (apt-get install wrk): nothing is measured.")
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = export(pathlib.Path(folder))
        count = write_bodies(bundle, pathlib.Path(folder))
        bodies = pathlib.Path(folder) / "bodies"
        ours: dict[int, dict[str, float]] = {}
        print(f"direct call of one image: p50 {direct(bundle, bodies):.1f} ms")
        for name, command, path in servers(bundle, arguments.environment):
            with serving(command, path, bodies) as (url, process):
                found = {size: load(url, bodies, count, size, arguments.seconds) for size in (1, 16)}
                ours = ours or found
                for size, row in found.items():
                    ratio = ours[size]["rate"] / max(row["rate"], 1e-9)
                    print(
                        f"{name}, {size} connections: {row['rate']:.0f} requests/s, p50 {row['p50']:.1f} ms, "
                        f"p99 {row['p99']:.1f} ms, {row['failed']:.0f} failed; ours is {ratio:.1f} times as fast",
                        flush=True,
                    )
                if found is ours and arguments.soak_seconds:
                    soak(url, bodies, count, arguments.soak_seconds, process)


def export(folder: pathlib.Path) -> pathlib.Path:
    """Train and export a smoke run."""
    for verb in (["train", "--preset", "smoke"], ["export", "--output-dir", str(folder / "bundles")]):
        command = [sys.executable, "-m", f"apps.{NAME}", *verb, "--run-dir", str(folder / "run"), "--quiet"]
        subprocess.run(command, check=True, capture_output=True)
    return folder / "bundles" / NAME / "1"


def write_bodies(bundle: pathlib.Path, folder: pathlib.Path) -> int:
    """Write requests of the newest golden images; return how many."""
    golden = json.loads((bundle / "assets.extra/golden.json").read_text())["inputs"]["image_bytes"][-BODIES:]
    (folder / "bodies").mkdir()
    for number, image in enumerate(golden):
        (folder / "bodies" / f"{number}.json").write_text(json.dumps({"instances": [{"image_bytes": image}]}))
    return len(golden)


def direct(bundle: pathlib.Path, bodies: pathlib.Path) -> float:
    """Return the median milliseconds of the signature itself on one image."""
    from shared.serving import bundle as bundles

    loaded = bundles.load(bundle)
    row = json.loads((bodies / "0.json").read_text())["instances"][0]["image_bytes"]
    image, times = bundles.decode([row]), []
    for _ in range(60):
        started = time.perf_counter()
        loaded.run({"image_bytes": image})
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times[10:]))


def servers(bundle: pathlib.Path, environment: pathlib.Path) -> Iterator[tuple[str, list[str], str]]:
    """Yield name, command (PORT stands for the port) and route of each server that can be had."""
    ours = ["-m", f"apps.{NAME}", "serve", "--model-dir", str(bundle), "--port", "PORT", "--quiet"]
    yield "fieldnets", [sys.executable, *ours, "--engine", "tensorflow"], f"/v1/models/{NAME}:predict"
    if not (environment / "bin/bentoml").exists() and not install(environment):
        print("LitServe and BentoML cannot be installed here: ours is measured alone.")
        return
    yield (
        "LitServe",
        [str(environment / "bin/python"), str(RIVALS / "litserve_server.py"), str(bundle), "PORT"],
        "/predict",
    )
    command = [str(environment / "bin/bentoml"), "serve", "bentoml_server:Classifier", "--port", "PORT"]
    yield "BentoML", ["env", f"SAVED_MODEL={bundle}", "-C", str(RIVALS), *command], "/predict"


def install(environment: pathlib.Path) -> bool:
    """Make the rivals' environment; return whether that worked."""
    import tensorflow as tf

    packages = ["litserve", "bentoml", f"tensorflow=={tf.__version__}"]
    made = subprocess.run([sys.executable, "-m", "venv", str(environment)], check=False, capture_output=True)
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", *packages]
    return made.returncode == 0 and subprocess.run(pip, check=False, capture_output=True).returncode == 0


@contextmanager
def serving(command: list[str], path: str, bodies: pathlib.Path) -> Iterator[tuple[str, psutil.Process]]:
    """Start a server, wait until it answers, and end it with its children."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = subprocess.Popen([part.replace("PORT", str(port)) for part in command], env=environment, **quiet)
    url = f"http://127.0.0.1:{port}{path}"
    try:
        wait(url, (bodies / "0.json").read_bytes())
        yield url, psutil.Process(started.pid)
    finally:
        for process in [*psutil.Process(started.pid).children(recursive=True), psutil.Process(started.pid)]:
            process.kill()
        started.wait()


def wait(url: str, body: bytes) -> None:
    """Return when the server answers the first request."""
    end = time.monotonic() + 120
    while True:
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=60):
                return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def load(url: str, bodies: pathlib.Path, count: int, connections: int, seconds: int) -> dict[str, float]:
    """Ask for so long, after a warm-up; return requests a second and milliseconds."""
    command = ["wrk", "-t1", f"-c{connections}", "--timeout", "30s", "-s", str(RIVALS / "post_images.lua"), url]
    for duration in (3, seconds):
        done = subprocess.run(
            [*command[:3], f"-d{duration}s", *command[3:], "--", str(bodies), str(count)],
            check=True,
            capture_output=True,
            text=True,
        )
    found = json.loads(done.stdout.splitlines()[-1])
    rate = found["requests"] / (found["microseconds"] / 1e6)
    return {"rate": rate, "p50": found["p50"] / 1000, "p99": found["p99"] / 1000, "failed": found["failed"]}


def soak(url: str, bodies: pathlib.Path, count: int, seconds: int, process: psutil.Process) -> None:
    """Ask for long, and say how much memory the server held in the first and the last quarter."""
    part = max(seconds // 12, 2)
    held = []
    for _ in range(seconds // part):
        load(url, bodies, count, 16, part)
        held.append(process.memory_info().rss / 2**20)
    quarter = max(len(held) // 4, 1)
    first, last = np.mean(held[:quarter]), np.mean(held[-quarter:])
    print(
        f"soak of {seconds} s: {first:.0f} MiB in the first quarter, {last:.0f} MiB in the last ({last - first:+.0f})"
    )


if __name__ == "__main__":
    main()
