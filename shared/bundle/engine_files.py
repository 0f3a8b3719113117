"""Files of other engines (ONNX, OpenVINO, LiteRT): a network is written as one, in floats or in 8 bits, or opened."""

import logging
import pathlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shared import errors
from shared.bundle import formats

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]
Run: TypeAlias = Callable[[Arrays], dict[str, npt.NDArray[Any]]]


def convert(network: Any, folder: pathlib.Path, engine: str, samples: Sequence[Arrays] = ()) -> None:
    """Write a network for an engine.

    Args:
        network: A functional model with named inputs and a mapping of outputs; it is not changed.
        folder: An existing folder; it gets the file of ``formats.FILES``.
        engine: Such as ``onnx`` or ``litert-int8``.
        samples: Batches of the network's inputs by name, to calibrate 8-bit numbers on.

    Raises:
        errors.InputError: The engine has no recurrent layers, and the network has.
    """
    from shared.bundle import network_graphs

    int8, kind = engine.endswith(formats.INT8), formats.kind(engine)
    path = folder / formats.FILES[kind]
    for name in ("tf2onnx", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if kind == "litert":
        _to_litert(network, path, samples if int8 else ())
        return
    onnx_path = folder / formats.FILES["onnx"]
    network_graphs.to_onnx(network, onnx_path)
    if int8:
        _quantize(onnx_path, samples)
    if kind == "openvino":
        _to_openvino(onnx_path, path)
        onnx_path.unlink()


def opened(path: pathlib.Path, kind: str, *, inputs: list[str], outputs: list[str], threads: int) -> Run:
    """Return the network in a file as a function of its inputs by name; extra arrays are not read.

    Args:
        path: The file.
        kind: Its format, of ``formats.FILES``.
        inputs: The names of its inputs.
        outputs: The names of its outputs.
        threads: Cores that one call may use, where the engine lets them be chosen.
    """
    load = {"onnx": _onnx, "openvino": _openvino, "litert": _litert}[kind]
    return load(path, inputs, outputs, threads)


def _quantize(path: pathlib.Path, samples: Sequence[Arrays]) -> None:
    """Give convolutions and matrix products 8-bit weights and activations."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    left = iter(samples)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
            sample = next(left, None)
            return None if sample is None else dict(sample)

    prepared = path.with_suffix(".prepared.onnx")
    shape_inference.quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    operations = ("Conv", "MatMul", "Gemm")
    graph = onnx.load(str(prepared)).graph
    first = next((node.name for node in graph.node if node.op_type in operations), "")
    quantization.quantize_static(
        str(prepared),
        str(path),
        Reader(),
        per_channel=True,
        op_types_to_quantize=list(operations),
        activation_type=quantization.QuantType.QUInt8,
        # The first and the last stand for the input and the answers themselves.
        nodes_to_exclude=[first, *_last(graph, operations)],
        quant_format=quantization.QuantFormat.QDQ,
    )
    prepared.unlink()


def _last(graph: Any, operations: Sequence[str]) -> set[str]:
    """Return the names of the nodes of some operations after which there are no more of them before an output."""
    makers = {output: node for node in graph.node for output in node.output}
    found: set[str] = set()
    wanted, seen = [output.name for output in graph.output], set()
    while wanted:
        name = wanted.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in operations:
            found.add(node.name)
        else:
            wanted += node.input
    return found


def _to_openvino(onnx_path: pathlib.Path, path: pathlib.Path) -> None:
    import openvino

    openvino.save_model(openvino.convert_model(str(onnx_path)), str(path), compress_to_fp16=False)


def _to_litert(network: Any, path: pathlib.Path, samples: Sequence[Arrays]) -> None:
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    from shared.bundle import network_graphs

    recurrent = network_graphs.recurrent_layers(network)
    if recurrent:
        raise errors.InputError(
            f"--format litert: expected a network without recurrent layers, which LiteRT does not run (onnx and "
            f"openvino do). Received: {', '.join(dict.fromkeys(layer.name for layer in recurrent))}"
        )
    # Weights become constants first: LiteRT does not initialise the variables of a Keras network.
    graph = network_graphs.graph(network, network_graphs.output_names(network)).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [convert_to_constants.convert_variables_to_constants_v2(graph)]
    )
    if samples:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _single(samples, network_graphs.input_names(network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(converter.convert())


def _single(samples: Sequence[Arrays], names: Sequence[str]) -> Iterator[list[npt.NDArray[Any]]]:
    for sample in samples:
        for row in range(len(sample[names[0]])):
            yield [sample[name][row : row + 1] for name in names]


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
