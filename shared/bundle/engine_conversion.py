"""A Keras network as a file for another engine: ONNX, OpenVINO or LiteRT, in floats or in 8 bits."""

import logging
import pathlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from shared import errors
from shared.bundle import formats, onnx_recurrent

OPSET = 17
Sample: TypeAlias = Mapping[str, npt.NDArray[Any]]


def input_names(network: keras.Model) -> list[str]:
    """Return the names of a network's inputs in their order."""
    return [tensor.name for tensor in network.inputs]


def output_names(network: keras.Model) -> list[str]:
    """Return the names of a network's outputs, which are a mapping."""
    return sorted(network.output)


def convert(network: keras.Model, folder: pathlib.Path, engine: str, samples: Sequence[Sample] = ()) -> None:
    """Write a network for an engine.

    Args:
        network: A functional model with named inputs and a mapping of outputs; it is not changed.
        folder: An existing folder; it gets the file of ``formats.FILES``.
        engine: Such as ``onnx`` or ``litert-int8``.
        samples: Batches of the network's inputs by name, to calibrate 8-bit numbers on.

    Raises:
        errors.InputError: The engine has no recurrent layers, and the network has.
    """
    int8, kind = engine.endswith(formats.INT8), formats.kind(engine)
    path = folder / formats.FILES[kind]
    for name in ("tf2onnx", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if kind == "litert":
        _to_litert(network, path, samples if int8 else ())
        return
    onnx_path = folder / formats.FILES["onnx"]
    _to_onnx(network, onnx_path)
    if int8:
        _quantize(onnx_path, samples)
    if kind == "openvino":
        _to_openvino(onnx_path, path)
        onnx_path.unlink()


def _copy(network: keras.Model) -> keras.Model:
    """Return a network of its own: taking layers into another graph would leave traces in them."""
    copied = keras.models.clone_model(network)
    copied.set_weights(network.get_weights())
    return copied


def _specs(network: keras.Model) -> list[tf.TensorSpec]:
    return [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in network.inputs]


def _graph(network: keras.Model, names: Sequence[str]) -> Any:
    """Return the network as a graph of its inputs in their order, with a mapping of outputs."""
    inputs = input_names(network)

    @tf.function(input_signature=_specs(network))  # type: ignore[untyped-decorator]
    def graph(*tensors: Any) -> Any:
        found = network(given(network, dict(zip(inputs, tensors, strict=True))), training=False)
        return dict(zip(names, tf.nest.flatten(found), strict=True))

    return graph


def given(network: keras.Model, tensors: Mapping[str, Any]) -> Any:
    """Return tensors by name in the structure that a network takes."""
    ordered = [tensors[name] for name in input_names(network)]
    return tf.nest.pack_sequence_as(network.input, ordered)


def _to_onnx(network: keras.Model, path: pathlib.Path) -> None:
    import tf2onnx

    marked, found = onnx_recurrent.with_stand_ins(_copy(network))
    tf2onnx.convert.from_function(
        _graph(marked, output_names(network)),
        input_signature=_specs(marked),
        opset=OPSET,
        output_path=str(path),
        custom_op_handlers={**onnx_recurrent.handlers(found), "SelectV2": (_choose, [])},
    )


def _choose(graph: Any, node: Any, name: str, _arguments: Any) -> None:
    """Keep ``where`` as it is: tf2onnx would multiply with 0 and 1, and make NaN of what is infinite or missing."""
    outputs, kind, shape = list(node.output), graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
    graph.remove_node(name)
    graph.make_node("Where", list(node.input), name=name, outputs=outputs, dtypes=[kind], shapes=[shape])


def _quantize(path: pathlib.Path, samples: Sequence[Sample]) -> None:
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


def _to_litert(network: keras.Model, path: pathlib.Path, samples: Sequence[Sample]) -> None:
    recurrent = onnx_recurrent.layers(network)
    if recurrent:
        raise errors.InputError(
            f"--format litert: expected a network without recurrent layers, which LiteRT does not run (onnx and "
            f"openvino do). Received: {', '.join(dict.fromkeys(layer.name for layer in recurrent))}"
        )
    # Weights become constants first: LiteRT does not initialise the variables of a Keras network.
    graph = _graph(network, output_names(network)).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [convert_to_constants.convert_variables_to_constants_v2(graph)]
    )
    if samples:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _single(samples, input_names(network))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path.write_bytes(converter.convert())


def _single(samples: Sequence[Sample], names: Sequence[str]) -> Iterator[list[npt.NDArray[Any]]]:
    for sample in samples:
        for row in range(len(sample[names[0]])):
            yield [sample[name][row : row + 1] for name in names]
