"""A Keras network as a graph that other engines take: named inputs and outputs, and as ONNX.

Keras' loop over time becomes an ONNX ``Loop``, which no runtime makes fast. So recurrent layers are replaced, before
the conversion, by cuDNN's operation: TensorFlow knows its shapes on any machine, nothing runs it, and handlers of
tf2onnx put ONNX's own LSTM, GRU or RNN with the layers' weights in its place.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

OPSET = 17
_STAND_IN = "CudnnRNNV3"
_MODES = {keras.layers.LSTM: "lstm", keras.layers.GRU: "gru", keras.layers.SimpleRNN: "rnn_tanh"}
_OPERATIONS = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN"}
_INT64 = 7
_BY_ROW = {"batch_axis": 1, "time_axis": 0}
# ONNX's order of the gates, as places in Keras' order: input, forget, cell, output; update, reset, candidate.
_GATES = {"lstm": (0, 3, 1, 2), "gru": (0, 1, 2), "rnn_tanh": (0,)}


def input_names(network: keras.Model) -> list[str]:
    """Return the names of a network's inputs in their order."""
    return [tensor.name for tensor in network.inputs]


def output_names(network: keras.Model) -> list[str]:
    """Return the names of a network's outputs, which are a mapping."""
    return sorted(network.output)


def given(network: keras.Model, tensors: Mapping[str, Any]) -> Any:
    """Return tensors by name in the structure that a network takes."""
    ordered = [tensors[name] for name in input_names(network)]
    return tf.nest.pack_sequence_as(network.input, ordered)


def graph(network: keras.Model, names: Sequence[str]) -> Any:
    """Return the network as a graph of its inputs in their order, with a mapping of outputs."""
    inputs = input_names(network)

    @tf.function(input_signature=_specs(network))  # type: ignore[untyped-decorator]
    def graph(*tensors: Any) -> Any:
        found = network(given(network, dict(zip(inputs, tensors, strict=True))), training=False)
        return dict(zip(names, tf.nest.flatten(found), strict=True))

    return graph


def to_onnx(network: keras.Model, path: pathlib.Path) -> None:
    """Write a network as ONNX; it is not changed."""
    import tf2onnx

    marked, found = _with_stand_ins(_copy(network))
    tf2onnx.convert.from_function(
        graph(marked, output_names(network)),
        input_signature=_specs(marked),
        opset=OPSET,
        output_path=str(path),
        custom_op_handlers={**_handlers(found), "SelectV2": (_choose, [])},
    )


def _choose(graph: Any, node: Any, name: str, _arguments: Any) -> None:
    """Keep ``where`` as it is: tf2onnx would multiply with 0 and 1, and make NaN of what is infinite or missing."""
    outputs, kind, shape = list(node.output), graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
    graph.remove_node(name)
    graph.make_node("Where", list(node.input), name=name, outputs=outputs, dtypes=[kind], shapes=[shape])


def _copy(network: keras.Model) -> keras.Model:
    """Return a network of its own: taking layers into another graph would leave traces in them."""
    copied = keras.models.clone_model(network)
    copied.set_weights(network.get_weights())
    return copied


def _specs(network: keras.Model) -> list[tf.TensorSpec]:
    return [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in network.inputs]


def recurrent_layers(network: keras.Model) -> list[Any]:
    """Return the recurrent layers of a network and of those inside it."""
    found = []
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            found += recurrent_layers(layer)
        elif isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
            found.append(layer)
    return found


def _with_stand_ins(network: keras.Model) -> tuple[keras.Model, list[Any]]:
    """Return a network with a stand-in for each recurrent layer, and these layers in the stand-ins' order.

    Args:
        network: A functional model; its other layers become part of the new one, so it should be a copy.

    Raises:
        ValueError: A layer is not the usual kind that ONNX has.
    """
    found: list[Any] = []

    def replace(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
            return layer
        found.append(layer)
        return _StandIn(layer, len(found) - 1)

    return keras.models.clone_model(network, clone_function=replace, recursive=True), found


class _StandIn(keras.layers.Layer):  # type: ignore[misc]
    """What marks the place of a recurrent layer in a graph; it cannot run.

    Args:
        layer: The layer; where it gets a mask, padding stands at the end of a row.
        number: How the handler finds the layer again.
    """

    def __init__(self, layer: Any, number: int) -> None:
        super().__init__(name=f"{layer.name}_stand_in", trainable=False, dtype="float32")
        self.layer, self.number = layer, number
        self.supports_masking = True

    def compute_mask(self, _inputs: Any, _previous_mask: Any = None) -> None:
        """End Keras' hidden mask: what comes next has it as an input, or needs none."""

    def call(self, x: Any, mask: Any = None) -> Any:
        """Map (batch, length, features) to the layer's shape; steps that the mask leaves out become zeros."""
        cells = _cells(self.layer)
        units, rows = cells[0].units, tf.shape(x)[0]
        steps = tf.fill([rows], tf.shape(x)[1]) if mask is None else tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
        empty = tf.zeros([len(cells), rows, units])
        found = tf.raw_ops.CudnnRNNV3(
            input=tf.transpose(x, [1, 0, 2]),
            input_h=empty,
            input_c=empty,
            params=tf.zeros([1]),
            sequence_lengths=steps,
            rnn_mode=_mode(cells[0]),
            direction="bidirectional" if len(cells) == 2 else "unidirectional",
            is_training=False,
            seed2=self.number,
        )
        every = tf.ensure_shape(tf.transpose(found.output, [1, 0, 2]), (None, None, len(cells) * units))
        if cells[0].return_sequences:
            return every
        # Not the operation's own last state: OpenVINO's is that of the padding.
        last = tf.gather(every[:, :, :units], tf.maximum(steps - 1, 0), batch_dims=1)
        return tf.concat([last, every[:, 0, units:]], axis=1)

    def compute_output_spec(self, x: Any, mask: Any = None) -> Any:  # noqa: ARG002 (Keras goes by the names)
        """Describe what the layer returns."""
        return keras.KerasTensor(self.layer.compute_output_shape(x.shape), dtype="float32")


def _handlers(found: Sequence[Any]) -> dict[str, Any]:
    """Return tf2onnx's ``custom_op_handlers`` for the stand-ins of these layers."""
    weights = [_weights(layer) for layer in found]

    def replace(graph: Any, node: Any, name: str, _arguments: Any) -> None:
        mode, arrays = node.get_attr_str("rnn_mode"), weights[node.get_attr_int("seed2")]
        (source, *_, steps), (every, *_) = node.input, node.output
        kind, shape = graph.get_dtype(every), graph.get_shape(every)
        graph.remove_node(name)
        lengths = graph.make_node("Cast", [steps], attr={"to": _INT64}).output[0]
        axis = graph.make_const(f"{name}_axis", np.array([1], np.int64)).output[0]
        attributes = {"hidden_size": arrays["R"].shape[3]} | ({"linear_before_reset": 1} if mode == "gru" else {})

        def turned(tensor: Any) -> Any:
            return graph.make_node("ReverseSequence", [tensor, lengths], attr=_BY_ROW).output[0]

        states = []
        for number in range(len(arrays["W"])):
            constants = [graph.make_const(f"{name}_{key}_{number}", arrays[key][number]).output[0] for key in "WRB"]
            # Not ONNX's reverse direction: OpenVINO's begins at the padding.
            inputs = [turned(source) if number else source, *constants, steps]
            made = graph.make_node(_OPERATIONS[mode], inputs, attr=attributes)
            state = graph.make_node("Squeeze", [made.output[0], axis]).output[0]
            states.append(turned(state) if number else state)
        graph.make_node("Concat", states, attr={"axis": 2}, outputs=[every], dtypes=[kind], shapes=[shape])

    return {_STAND_IN: (replace, [])}


def _cells(layer: Any) -> list[Any]:
    if not isinstance(layer, keras.layers.Bidirectional):
        return [layer]
    if layer.merge_mode != "concat":
        raise ValueError(f"{layer.name}: expected merge_mode 'concat'. Received: {layer.merge_mode!r}")
    return [layer.forward_layer, layer.backward_layer]


def _mode(cell: Any) -> str:
    mode = _MODES.get(type(cell))
    usual = mode is not None and cell.use_bias and cell.activation is keras.activations.tanh
    if mode in ("lstm", "gru"):
        usual = usual and cell.recurrent_activation is keras.activations.sigmoid
    if not usual or not getattr(cell, "reset_after", True):
        raise ValueError(f"{cell.name}: expected a usual LSTM, GRU or SimpleRNN. Received: {type(cell).__name__}")
    return str(mode)


def _weights(layer: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Return W, R and B as ONNX has them, (directions, 1, ...)."""
    parts: dict[str, list[Any]] = {"W": [], "R": [], "B": []}
    for cell in _cells(layer):
        kernel, recurrent, bias = cell.get_weights()[:3]
        # GRU has two biases, the others one.
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        gates = _GATES[_mode(cell)]
        parts["W"].append(_ordered(kernel, gates).T)
        parts["R"].append(_ordered(recurrent, gates).T)
        parts["B"].append(_ordered(both, gates).ravel())
    return {name: np.stack(values)[:, np.newaxis].astype(np.float32) for name, values in parts.items()}


def _ordered(values: npt.NDArray[Any], gates: Sequence[int]) -> npt.NDArray[Any]:
    blocks = np.split(values, len(gates), axis=-1)
    return np.concatenate([blocks[gate] for gate in gates], axis=-1)
