"""Rows per second of each engine of a bundle beside its SavedModel, from raw input to answer, in one run.

TensorFlow gets the cores that `serve` gives it, or ``--threads N``.

The networks have the size of the preset ``default`` and are trained for one epoch on a few examples, which makes their
answers poor and their time the same. Needs the extra ``engines``. ``python -m benchmarks.engines [--int8] [APP ...]``
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

ROWS = (1, 16, 64)
# Turns of each engine, fewer where that would take longer.
ROUNDS, LEAST_ROUNDS, SECONDS = 15, 4, 60.0
_SHORT = ("--epochs", "1")
_CONVOLUTIONAL = "onnx,openvino,litert"
_SCENES = ("--scene-sequences", "60", "--frozen-epochs", "0")
_TEXT = ("--maximum-rows", "600", "--no-pretrain-embeddings")
# What is measured: name -> app, flags of `train`, formats of `export`.
CASES = {
    "text-lstm": ("sentiment", ("--model", "lstm", "--rnn-cell", "lstm", *_TEXT, *_SHORT), "onnx,openvino"),
    "text-default": ("sentiment", (*_TEXT, *_SHORT), "onnx,openvino"),
    "image-default": (
        "medical_imaging",
        ("--phantom-patients", "120", "--frozen-epochs", "0", *_SHORT),
        _CONVOLUTIONAL,
    ),
    "driving-320": ("driving_perception", (*_SCENES, "--image-size", "320", *_SHORT), _CONVOLUTIONAL),
    "driving-416": ("driving_perception", (*_SCENES, *_SHORT), _CONVOLUTIONAL),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--int8", action="store_true", help="also 8-bit engines, where they pass the gate")
    parser.add_argument("--folder", type=pathlib.Path, help="where runs and bundles are kept and found again")
    parser.add_argument("--threads", type=int, default=0, help="cores of a TensorFlow operation; 0: as `serve`")
    arguments = parser.parse_args()
    from shared import verbs
    from shared.training import runtime

    runtime.limit_threads(verbs.operation_threads(arguments.threads))
    with tempfile.TemporaryDirectory() as scratch:
        for case in arguments.cases:
            folder = (arguments.folder or pathlib.Path(scratch)) / case
            measure(case, exported(case, folder, int8=arguments.int8))


def exported(case: str, folder: pathlib.Path, *, int8: bool) -> pathlib.Path:
    """Train where that is not done yet, export, and return the bundle."""
    app, flags, formats = CASES[case]
    if not (folder / "run" / "decision.json").exists():
        command_line(app, "train", "--run-dir", str(folder / "run"), "--overwrite", *flags)
    export = ("export", "--run-dir", str(folder / "run"), "--output-dir", str(folder / "models"), "--format", formats)
    return pathlib.Path(command_line(app, *export, *(["--int8"] if int8 else []))["bundle"])


def command_line(app: str, *arguments: str) -> Any:
    finished = subprocess.run(
        [sys.executable, "-m", f"apps.{app}", *arguments, "--quiet", "--json"], capture_output=True, text=True
    )
    if finished.returncode:
        raise SystemExit(finished.stderr[-2000:])
    return json.loads(finished.stdout)


def measure(case: str, path: pathlib.Path) -> None:
    from shared.bundle import engines
    from shared.bundle import reading as bundle

    loaded = bundle.load(path)
    names = ["tensorflow", *engines.listed(path)]
    runs = {name: engines.open_engine(loaded, name).run for name in names}
    golden = {name: bundle.decode(values) for name, values in loaded.extra("golden.json")["inputs"].items()}
    print(
        f"{case}: {os.cpu_count()} cores, best of {LEAST_ROUNDS} to {ROUNDS} turns, rows/s and ratio to the SavedModel"
    )
    for rows in ROWS:
        # The first golden rows are odd ones.
        inputs = {name: np.resize(values[len(values) // 2 :], rows) for name, values in golden.items()}
        seconds = in_turns(runs, inputs)
        parts = [
            f"{name} {rows / value:7.1f} ({seconds['tensorflow'] / value:.2f}x)" for name, value in seconds.items()
        ]
        print(f"  batch {rows:2d}: {'   '.join(parts)}", flush=True)


def in_turns(runs: Mapping[str, Callable[[Any], Any]], inputs: Mapping[str, Any]) -> dict[str, float]:
    """Return each one's best seconds, taken in turns, so that a busy moment of the machine meets all."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    started = time.perf_counter()
    # The first two of each pay for tracing and threads.
    for turn in range(ROUNDS + 2):
        if turn >= LEAST_ROUNDS + 2 and time.perf_counter() - started > SECONDS:
            break
        for name, run in runs.items():
            began = time.perf_counter()
            run(inputs)
            seconds[name].append(time.perf_counter() - began)
    return {name: min(times[2:]) for name, times in seconds.items()}


if __name__ == "__main__":
    main()
