"""From the trained Keras ensemble to ``fused.Fused``, where all of its networks have a form that it knows."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from apps.fraud_detection import fused, layers
from shared.models import averaging, sequences, tabular


def fuse(model: keras.Model) -> fused.Fused | None:
    """Return the ensemble of ``model.calibrated``; None where one of its networks has another form.

    Known are networks of numbers and names, with or without a GRU that attention reads, and the autoencoder.
    """
    average: averaging.CalibratedAverage = model.get_layer("logits")
    tensors = average.input if isinstance(average.input, list) else [average.input]
    networks = [tensor._keras_history.operation for tensor in tensors]
    factors = [weight / scale for weight, scale in zip(average.ensemble_weights, average.temperatures, strict=True)]
    detectors = [each for each in networks if _has(each, layers.SquaredError)]
    towers = [each for each in networks if each not in detectors]
    recurrent = [each for each in towers if _has(each, keras.layers.RNN)]
    if len(detectors) > 1 or len(recurrent) > 1 or not all(map(_is_tower, towers)) or not _alike(towers):
        return None
    counts = dict(zip(networks, factors, strict=True))
    arrays: dict[str, npt.NDArray[Any]] = {}
    if towers:
        arrays |= _first(towers)
        for number, network in enumerate(towers):
            arrays |= _rest(number, network, counts[network])
    for network in recurrent:
        arrays |= _recurrent(network)
    for network in detectors:
        arrays |= _detector(network, counts[network])
    calibrated = model.get_layer("calibrated")
    return fused.Fused.of(
        arrays, [len(_dense(each)) - 1 for each in towers], slope=calibrated.slope, offset=calibrated.offset
    )


def _of_kind(network: keras.Model, kind: Any) -> list[Any]:
    return [layer for layer in network.layers if isinstance(layer, kind)]


def _has(network: keras.Model, kind: Any) -> bool:
    return bool(_of_kind(network, kind))


def _dense(network: keras.Model) -> list[Any]:
    return _of_kind(network, keras.layers.Dense)


def _is_tower(network: keras.Model) -> bool:
    """Tell whether a network is what ``model.build`` makes, and its recurrent layer, if any, a usual GRU."""
    known = (
        keras.layers.InputLayer,
        tabular.Standardize,
        tabular.PiecewiseLinear,
        keras.layers.Embedding,
        keras.layers.Concatenate,
        keras.layers.Dense,
        keras.layers.Activation,
        keras.layers.Dropout,
        keras.layers.GRU,
        sequences.RealSteps,
        sequences.AttentionPooling,
    )
    # Taking a column of names out of the others is an operation without a class that others may name.
    plain = all(isinstance(each, known) or type(each).__name__ == "GetItem" for each in network.layers)
    activations = {each.activation.__name__ for each in _of_kind(network, keras.layers.Activation)}
    linear = all(each.activation is keras.activations.linear for each in _dense(network))
    usual = all(each.reset_after and each.return_sequences for each in _of_kind(network, keras.layers.GRU))
    return plain and linear and usual and activations <= {"relu"} and len(_dense(network)) > 1


def _alike(towers: Sequence[keras.Model]) -> bool:
    """Tell whether the networks read numbers in the same scales and bins."""
    for kind in (tabular.Standardize, tabular.PiecewiseLinear):
        found = [each.get_config() for network in towers for each in _of_kind(network, kind)]
        if any(each != found[0] for each in found):
            return False
    return True


def _first(towers: Sequence[keras.Model]) -> dict[str, npt.NDArray[Any]]:
    """Return the first layer of all towers side by side, by what it reads; zeros where one does not."""
    found: dict[str, npt.NDArray[Any]] = {}
    for network in towers:
        for layer in _of_kind(network, tabular.Standardize):
            found |= {"mean": _float(layer.mean), "deviation": _float(layer.deviation)}
        for layer in _of_kind(network, tabular.PiecewiseLinear):
            counts = [len(column) - 1 for column in layer.edges]
            found |= {"low": layer._low, "width": layer._width, "begins": np.cumsum([0, *counts], dtype=np.int64)}
    parts = [_parts(network) for network in towers]
    names = dict.fromkeys(name for each in parts for name in each)
    for name in names:
        rows = next(len(each[name]) for each in parts if name in each)
        blank = [np.zeros((rows, len(each["bias"][0])), np.float32) for each in parts]
        columns = [each.get(name, empty) for each, empty in zip(parts, blank, strict=True)]
        found[name] = np.ascontiguousarray(np.concatenate(columns, axis=1))
    return {**found, "bias": found["bias"][0]}


def _parts(network: keras.Model) -> dict[str, npt.NDArray[np.float32]]:
    """Return the rows of a tower's first kernel by what they multiply, in the order of ``model.build``."""
    kernel, bias = (np.asarray(each, np.float32) for each in _dense(network)[0].get_weights())
    found, row = {"bias": bias[np.newaxis]}, 0

    def take(count: int) -> npt.NDArray[np.float32]:
        nonlocal row
        row += count
        return np.asarray(kernel[row - count : row], np.float32)

    for layer in _of_kind(network, tabular.Standardize):
        found["standard"] = take(len(layer.mean))
    for layer in _of_kind(network, tabular.PiecewiseLinear):
        found["table"] = take(len(layer._low))
    embeddings = sorted(_of_kind(network, keras.layers.Embedding), key=lambda each: int(each.name.split("_")[1]))
    for place, layer in enumerate(embeddings):
        vectors = np.asarray(layer.get_weights()[0], np.float32)
        found[f"names_{place}"] = vectors @ take(vectors.shape[1])
    for layer in _of_kind(network, keras.layers.GRU):
        found["state"] = take(layer.units)
    if row != len(kernel):
        raise ValueError(f"{network.name}: expected a first layer of {row} inputs. Received: {len(kernel)}")
    return found


def _rest(number: int, network: keras.Model, factor: float) -> dict[str, npt.NDArray[Any]]:
    found: dict[str, npt.NDArray[Any]] = {}
    for place, layer in enumerate(_dense(network)[1:], start=1):
        found[f"tower_{number}_kernel_{place}"], found[f"tower_{number}_bias_{place}"] = map(
            _float, layer.get_weights()
        )
    # Log-odds are the difference of two logits.
    for kind, shape in (("kernel", (-1, 1)), ("bias", (1,))):
        name = f"tower_{number}_{kind}_{place}"
        found[name] = _float((found[name][..., 1] - found[name][..., 0]) * factor).reshape(shape)
    return found


def _recurrent(network: keras.Model) -> dict[str, npt.NDArray[Any]]:
    kernel, recurrent, bias = _of_kind(network, keras.layers.GRU)[0].get_weights()
    attention, attention_bias, query = _of_kind(network, sequences.AttentionPooling)[0].get_weights()
    gru = {"gru_kernel": kernel, "gru_recurrent": recurrent, "gru_bias": bias}
    pooled = {"attention_kernel": attention, "attention_bias": attention_bias, "attention_query": query[:, 0]}
    return {name: _float(values) for name, values in {**gru, **pooled}.items()}


def _detector(network: keras.Model, factor: float) -> dict[str, npt.NDArray[Any]]:
    scale, logits = _of_kind(network, tabular.Standardize)[0], network.get_layer("logits")
    found = {
        "detector_mean": _float(scale.mean),
        "detector_deviation": _float(scale.deviation),
        "detector_scale": _float([logits.slope * factor, logits.offset * factor]),
    }
    for place, layer in enumerate(_dense(network), start=1):
        found[f"detector_kernel_{place}"], found[f"detector_bias_{place}"] = map(_float, layer.get_weights())
    return found


def _float(values: Any) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)
