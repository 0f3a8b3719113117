"""What runs a bundle's network: TensorFlow, or a faster engine that ``export --format`` wrote beside it.

An engine runs the network only. The bundle's signature ``preprocess`` makes the network's inputs of raw ones, and
``answer`` makes the outputs of the signature that the engine serves, so an engine sees and says what the bundle does.
"""

import dataclasses
import pathlib
import threading
import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared import errors, files, machine
from shared.bundle import formats, padding
from shared.bundle import reading as bundle

FOLDER = f"{bundle.EXTRA}/engines"
TENSORFLOW = "tensorflow"
AUTO = "auto"
PREPROCESS, ANSWER = "preprocess", "answer"
ROWS_TIMED = 16
_TIMES = 4

Arrays: TypeAlias = padding.Arrays
Run: TypeAlias = padding.Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine: its name, the signature it serves, and how it answers."""

    name: str
    signature: str
    run: Run


def open_engine(loaded: bundle.Bundle, wanted: str = AUTO) -> Engine:
    """Return the engine of that name.

    Args:
        loaded: The bundle.
        wanted: ``tensorflow``, an engine of the bundle, or ``auto``: the fastest on this machine of all that are there,
            8-bit ones included where the bundle was exported with them.

    Raises:
        errors.InputError: The bundle does not hold the engine, or its package is not installed.
    """
    if wanted == AUTO:
        return _fastest(loaded)
    if wanted == TENSORFLOW:
        return _tensorflow(loaded)
    written = listed(loaded.path)
    if wanted not in written:
        flags = f"--format {formats.kind(wanted)}{' --int8' if wanted.endswith(formats.INT8) else ''}"
        raise errors.InputError(
            f"{loaded.path}: expected the engine {wanted}, which `export {flags}` writes. Received: a bundle with "
            f"{', '.join([TENSORFLOW, *written])}"
        )
    formats.require(formats.kind(wanted), formats.RUN_WITH, f"--engine {wanted}")
    return _of_bundle(loaded, wanted, written[wanted])


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithEngine(bundle.Bundle):
    """A bundle whose engine answers the signature that it serves."""

    engine: Engine

    def run(
        self, inputs: Mapping[str, npt.ArrayLike], *, signature: str = "serving_default"
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a signature on a batch; see ``bundle.Bundle.run``."""
        if signature == self.engine.signature:
            return self.engine.run({name: np.asarray(values) for name, values in inputs.items()})
        return super().run(inputs, signature=signature)


def load(path: pathlib.Path, wanted: str) -> WithEngine:
    """Check a bundle's manifest and load it with an engine; see ``bundle.load`` and ``open_engine``."""
    return with_engine(bundle.load(path), wanted)


def with_engine(loaded: bundle.Bundle, wanted: str = AUTO) -> WithEngine:
    """Return the bundle with the engine of that name; see ``open_engine``."""
    return WithEngine(**vars(loaded), engine=open_engine(loaded, wanted))


def listed(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Return what ``engine.json`` says of each engine of a version folder: name -> content, fastest first."""
    found = {path.parent.name: files.read_json(path) for path in (folder / FOLDER).glob("*/engine.json")}
    return dict(sorted(found.items(), key=lambda item: (item[1]["milliseconds"]["engine"], item[0])))


def joined(loaded: bundle.Bundle, network: Run, signature: str = ANSWER) -> Run:
    """Return the way from raw inputs to the answers of a signature with another network inside."""

    def run(inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        ready = prepare(loaded, inputs)
        return answer(loaded, network(ready), ready, signature)

    return run


def prepare(loaded: bundle.Bundle, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Return the network's inputs, and what the answer needs beside its outputs."""
    return loaded.run(inputs, signature=PREPROCESS)


def answer(loaded: bundle.Bundle, found: Arrays, ready: Arrays, signature: str = ANSWER) -> dict[str, npt.NDArray[Any]]:
    """Return what a signature says for the network's outputs and what ``prepare`` returned."""
    given = {name: found[name] if name in found else ready[name] for name in loaded.inputs(signature)}
    return loaded.run(given, signature=signature)


def load_network(folder: pathlib.Path, name: str, about: Mapping[str, Any]) -> Run:
    """Return a written network as a function of its inputs by name; extra arrays are not read.

    Args:
        folder: The engine's own folder.
        name: The engine.
        about: Its ``inputs`` and ``outputs``, names in the network's order, which inputs are ``padded``, and what says
            the ``sizes`` of images.
    """
    path = folder / formats.FILES[formats.kind(name)]
    load = {"onnx": _onnx, "openvino": _openvino, "litert": _litert}[formats.kind(name)]
    cores = machine.usable_cores()
    # A recurrent step is too small to be shared among cores: each gets rows of its own, where the engine allows it.
    workers = cores if about["padded"] and formats.kind(name) == "onnx" else 1
    network = load(path, list(about["inputs"]), list(about["outputs"]), cores // workers)
    sized = padding.by_size(network, list(about["inputs"]), about["sizes"])
    return padding.by_length(sized, list(about["padded"]), workers=workers)


def milliseconds(runs: Mapping[str, Run], inputs: Arrays) -> dict[str, float]:
    """Return each function's best time on the last ``ROWS_TIMED`` rows, taken in turns; the first rows are odd ones."""
    some = {name: values[-ROWS_TIMED:] for name, values in inputs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_TIMES + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(some)
            seconds[name].append(time.perf_counter() - started)
    # The first of each pays for tracing.
    return {name: 1000 * min(times[1:]) for name, times in seconds.items()}


def _fastest(loaded: bundle.Bundle) -> Engine:
    written = {
        name: about
        for name, about in listed(loaded.path).items()
        if not machine.missing(formats.RUN_WITH[formats.kind(name)])
    }
    if not written:
        return _tensorflow(loaded)
    golden = {name: bundle.decode(values) for name, values in loaded.extra("golden.json")["inputs"].items()}
    signature = next(iter(written.values()))["signature"]
    engines = {name: _of_bundle(loaded, name, about) for name, about in written.items()}
    plain = lambda inputs: loaded.run(inputs, signature=signature)  # noqa: E731
    times = milliseconds({**{name: engine.run for name, engine in engines.items()}, TENSORFLOW: plain}, golden)
    best = min(times, key=lambda name: times[name])
    return engines[best] if best in engines else _tensorflow(loaded)


def _tensorflow(loaded: bundle.Bundle) -> Engine:
    return Engine(name=TENSORFLOW, signature="serving_default", run=loaded.run)


def _of_bundle(loaded: bundle.Bundle, name: str, about: Mapping[str, Any]) -> Engine:
    network = load_network(loaded.path / FOLDER / name, name, about)
    return Engine(name=name, signature=about["signature"], run=joined(loaded, network))


def _onnx(path: pathlib.Path, inputs: list[str], outputs: list[str], threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take the cores from TensorFlow, which prepares the next rows.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in formats.SETTINGS["onnx"].items():
        options.add_session_config_entry(name, value)
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(given: Arrays) -> dict[str, npt.NDArray[Any]]:
        found = session.run(outputs, {name: given[name] for name in inputs})
        return dict(zip(outputs, found, strict=True))

    return run


def _openvino(path: pathlib.Path, inputs: list[str], outputs: list[str], threads: int) -> Run:
    import openvino

    settings = {**formats.SETTINGS["openvino"], "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    lock = threading.Lock()

    def run(given: Arrays) -> dict[str, npt.NDArray[Any]]:
        with lock:
            request.infer({name: given[name] for name in inputs})
            return {name: np.array(request.get_tensor(name).data) for name in outputs}

    return run


def _litert(path: pathlib.Path, inputs: list[str], outputs: list[str], threads: int) -> Run:
    from ai_edge_litert import interpreter

    found = interpreter.Interpreter(model_path=str(path), num_threads=threads)
    # LiteRT keeps the order of outputs only, which is the alphabet's.
    results = dict(zip(sorted(outputs), (each["index"] for each in found.get_output_details()), strict=True))
    places = {each["name"].split(":")[0].removeprefix("serving_default_"): each for each in found.get_input_details()}
    shapes: dict[str, tuple[int, ...]] = {}
    lock = threading.Lock()

    def run(given: Arrays) -> dict[str, npt.NDArray[Any]]:
        with lock:
            wanted = {name: given[name].shape for name in inputs}
            if shapes != wanted:
                for name, shape in wanted.items():
                    found.resize_tensor_input(places[name]["index"], shape)
                found.allocate_tensors()
                shapes.update(wanted)
            for name in inputs:
                found.set_tensor(places[name]["index"], given[name])
            found.invoke()
            return {name: np.array(found.get_tensor(results[name])) for name in outputs}

    return run
