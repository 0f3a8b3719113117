"""Fully connected networks: on feature vectors, and on bags of ids (word n-grams, hashed categories)."""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from shared.models import building, sequences

BagPooling = typing.Literal["sum", "mean", "sqrtn", "l2"]


def build_dense(
    *,
    input_shape: tuple[int, ...],
    classes: int,
    hidden_units: Sequence[int] = (128,),
    activation: building.Activation = "relu",
    dropout_rate: float = 0.0,
    normalization: building.Normalization = None,
) -> keras.Model:
    """Build a multilayer perceptron; no hidden layers make it a logistic regression.

    Args:
        input_shape: Shape of one example, flattened when it has several dimensions. Input ``features``,
            float32, already standardized.
        classes: Number of classes, at least 2.
        hidden_units: Units of each hidden layer.
        activation: Of the hidden layers.
        dropout_rate: Part of each hidden layer dropped while training, in [0, 1).
        normalization: Between a hidden layer and its activation.

    Returns:
        An uncompiled model: (batch, *input_shape) to ``logits`` (batch, classes) float32.

    Raises:
        ValueError: An argument is outside its range.
    """
    building.check_counts("input_shape", input_shape)
    inputs = keras.Input(input_shape, name="features")
    x = keras.layers.Flatten(name="flatten")(inputs) if len(input_shape) != 1 else inputs
    x = building.hidden(
        x, units=hidden_units, activation=activation, dropout_rate=dropout_rate, normalization=normalization
    )
    return keras.Model(inputs, building.logits(x, classes=classes), name="dense")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class BagTable:
    """The weights that ids are looked up in.

    Attributes:
        buckets: Number of ids, 0 = padding included; ids are in [0, buckets).
        size: Numbers per id. One (two classes) or ``classes`` of them with no hidden layer is a linear
            model.
        pooling: How the numbers of a row's ids become one vector; ``sqrtn`` is the sum over the root of
            their count, which for ids that occur once is the sum of L2-normalized one-hot features; ``l2`` is
            the sum over the length of the vector of their scales, which L2-normalizes scaled features.
        initial_values: (buckets, size) float; trained on from there. None = zeros (linear model) or small
            noise.
        scale: (buckets,) float; multiplies each id's numbers and is never trained. Naive-Bayes log-count
            ratios here make NB-SVM (Wang and Manning 2012, https://aclanthology.org/P12-2018); inverse
            document frequencies TF-IDF.
    """

    buckets: int
    size: int = 1
    pooling: BagPooling = "sum"
    initial_values: np.ndarray | None = None
    scale: np.ndarray | None = None


def build_bag(
    *,
    table: BagTable,
    classes: int,
    hidden_units: Sequence[int] = (),
    activation: building.Activation = "relu",
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Build a classifier of unordered ids: pooled table rows, hidden layers if any, logits.

    A linear model starts as its table says: with ``size`` = ``classes`` the pooled numbers are the logits,
    with ``size`` 1 their log-odds, so naive-Bayes ratios as ``initial_values`` are the naive-Bayes
    classifier at step 0.

    Args:
        table: The table and its pooling.
        classes: Number of classes, at least 2.
        hidden_units: Units of each hidden layer.
        activation: Of the hidden layers.
        dropout_rate: Part of the hidden layers dropped while training, in [0, 1).

    Returns:
        An uncompiled model: ``ids`` (batch, k) int32, 0 = padding, to ``logits`` (batch, classes) float32.
        The row of id 0 stands for a bag with nothing in it.

    Raises:
        ValueError: An argument is outside its range or an array has another shape.
    """
    _check_table(table)
    linear = not hidden_units and (table.size == classes or (table.size, classes) == (1, 2))
    ids = keras.Input((None,), dtype="int32", name="ids")
    mask = sequences.RealSteps(name="mask")(ids)
    rows = ScaledEmbedding(
        table.buckets,
        table.size,
        initializer="zeros" if linear else "uniform",
        unit_length=table.pooling == "l2",
        name="embedding",
    )
    x = BagOverIds("sum" if table.pooling == "l2" else table.pooling, name="bag")(rows(ids), mask)
    x = building.hidden(x, units=hidden_units, activation=activation, dropout_rate=dropout_rate)
    kernel = keras.initializers.Constant(_readout(table.size)) if linear else "glorot_uniform"
    model = keras.Model(ids, building.logits(x, classes=classes, kernel_initializer=kernel), name="bag_of_ids")
    if table.initial_values is not None:
        rows.table.assign(table.initial_values)
    if table.scale is not None:
        rows.scale.assign(np.reshape(table.scale, (-1, 1)))
    return model


@keras.saving.register_keras_serializable(package="fieldnets")
class ScaledEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Look up trained rows times a fixed factor per row; with ``unit_length`` a bag's factors get the norm 1."""

    def __init__(
        self,
        buckets: int,
        size: int,
        *,
        initializer: str = "uniform",
        unit_length: bool = False,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.buckets = buckets
        self.size = size
        self.initializer = initializer
        self.unit_length = unit_length

    def build(self, _ids_shape: Any) -> None:
        """Create the table and the factors, which are 1 until they are assigned."""
        shape = (self.buckets, self.size)
        self.table = self.add_weight(shape=shape, initializer=self.initializer, name="table")
        self.scale = self.add_weight(shape=(self.buckets, 1), initializer="ones", trainable=False, name="scale")

    def call(self, ids: Any) -> Any:
        """Map (batch, k) ids to (batch, k, size)."""
        factors = ops.take(self.scale, ids, axis=0)
        if self.unit_length:
            factors = factors * ops.cast(ops.not_equal(ids, 0), factors.dtype)[..., None]
            # Below any real norm, above 0: an empty bag stays 0.
            factors = factors * ops.rsqrt(ops.sum(ops.square(factors), axis=1, keepdims=True) + 1e-12)
        return ops.take(self.table, ids, axis=0) * factors

    def compute_output_spec(self, ids: Any) -> Any:
        """Describe the rows without looking them up."""
        return keras.KerasTensor((*ids.shape, self.size), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer; table and factors are weights."""
        own = ("buckets", "size", "initializer", "unit_length")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="fieldnets")
class BagOverIds(sequences.OverTime):
    """Add up the rows of a bag, in float32: thousands of float16 terms lose the small ones."""

    def __init__(
        self, pooling: BagPooling, *, name: str | None = None, dtype: Any = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.pooling = pooling

    def call(self, x: Any, steps: Any) -> Any:
        """Map (batch, k, size) rows and their bool mask to (batch, size)."""
        weights = ops.cast(steps, "float32")
        total = ops.sum(ops.cast(x, "float32") * weights[..., None], axis=1)
        power = {"sum": 0.0, "mean": -1.0, "sqrtn": -0.5}[self.pooling]
        return ops.cast(total * ops.power(ops.sum(weights, axis=1, keepdims=True), power), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "pooling": self.pooling}


def _check_table(table: BagTable) -> None:
    building.check_counts("buckets", (table.buckets,), minimum=2)
    building.check_counts("size", (table.size,))
    building.check_choice("pooling", table.pooling, typing.get_args(BagPooling))
    wanted = {"initial_values": (table.buckets, table.size), "scale": (table.buckets,)}
    for name, shape in wanted.items():
        array = getattr(table, name)
        if array is not None and np.shape(array) != shape:
            raise ValueError(f"Expected {name} of shape {shape}. Received: {np.shape(array)}")


def _readout(size: int) -> Any:
    """Kernel of a linear model: log-odds to two logits, or each column to its own class."""
    return [[-0.5, 0.5]] if size == 1 else np.eye(size).tolist()
