"""What text and sequence models share: the mask as a tensor that one sees, and layers that honour it.

Padding stands at the end of a row. The mask is an ordinary input of each layer instead of Keras' hidden
attribute: convolutions drop that attribute, and an explanation that enters a model at its embeddings would
    lose it.
"""

import dataclasses
import typing
from typing import Any

import keras
from keras import ops

from shared.models import building

Pooling = typing.Literal["attention", "last", "mean", "max"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenEmbedding:
    """How token ids become vectors.

    Vectors trained beforehand go into a built model:
    ``model.get_layer("embedding").set_weights([vectors])``. With Adam each step updates all rows, not only
    those in the batch: 30,000 x 64 took 14 ms of CPU time beside 180 ms for the rest of the text CNN, too
    little to pay for a second, lazy optimizer.

    Attributes:
        vocabulary_size: Number of ids, padding (0) included; ids are in [0, vocabulary_size).
        embedding_size: Numbers per token.
        dropout_rate: Part of the embedding dimensions dropped while training, the same ones along a text.
        trainable: False keeps the vectors as they are.
    """

    vocabulary_size: int
    embedding_size: int = 64
    dropout_rate: float = 0.0
    trainable: bool = True


def embed(tokens: TokenEmbedding) -> tuple[Any, Any, Any]:
    """Return the input ``tokens``, its vectors and its mask.

    Returns:
        (batch, length) int32 ids with 0 = padding at the end; (batch, length, embedding_size) vectors, zero
        at the padding, so that a convolution sees there what it sees beyond the end; (batch, length) bool,
        True at tokens.

    Raises:
        ValueError: A size is below 1 (the vocabulary below 2) or the rate outside [0, 1).
    """
    building.check_counts("vocabulary_size", (tokens.vocabulary_size,), minimum=2)
    building.check_counts("embedding_size", (tokens.embedding_size,))
    building.check_rate("dropout_rate", tokens.dropout_rate)
    ids = keras.Input((None,), dtype="int32", name="tokens")
    mask = RealSteps(name="mask")(ids)
    table = keras.layers.Embedding(
        tokens.vocabulary_size, tokens.embedding_size, trainable=tokens.trainable, name="embedding"
    )
    x = ZeroPadding(name="embedding_masked")(table(ids), mask)
    if tokens.dropout_rate:
        x = keras.layers.SpatialDropout1D(tokens.dropout_rate, name="embedding_dropout")(x)
    return ids, x, mask


@keras.saving.register_keras_serializable(package="fieldnets")
class RealSteps(keras.layers.Layer):  # type: ignore[misc]
    """Mark the steps that are not padding: ids other than 0, or vectors with any number other than 0.

    A row of nothing but padding counts as one step. So an empty text has an answer, no mean divides by
    zero, and cuDNN, which refuses sequences of length 0, accepts the mask.
    """

    def call(self, x: Any) -> Any:
        """Map (batch, length) ids or (batch, length, features) to a (batch, length) bool mask."""
        real = ops.not_equal(x, 0)
        if len(x.shape) == 3:
            real = ops.any(real, axis=-1)
        first = ops.arange(ops.shape(real)[1]) == 0
        empty = ops.logical_not(ops.any(real, axis=1, keepdims=True))
        return ops.logical_or(real, ops.logical_and(first, empty))

    def compute_output_spec(self, x: Any) -> Any:
        """Describe the mask without computing it."""
        return keras.KerasTensor(x.shape[:2], dtype="bool")


@keras.saving.register_keras_serializable(package="fieldnets")
class ZeroPadding(keras.layers.Layer):  # type: ignore[misc]
    """Set the vectors of padded steps to zero."""

    def call(self, x: Any, steps: Any) -> Any:
        """Map (batch, length, features) and its bool mask to vectors of the same shape."""
        return x * _weights(steps, x)

    def compute_output_spec(self, x: Any, _steps: Any) -> Any:
        """Describe the same shape."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)


class OverTime(keras.layers.Layer):  # type: ignore[misc]
    """A layer that makes one vector of each row's real steps."""

    def compute_output_spec(self, x: Any, _steps: Any) -> Any:
        """Describe the vectors: (batch, features)."""
        return keras.KerasTensor((x.shape[0], x.shape[2]), dtype=self.compute_dtype)

    def compute_mask(self, _inputs: Any, _previous_mask: Any = None) -> None:
        """End the mask that Keras' recurrent layers attach to what they return: no time is left to mask."""


@keras.saving.register_keras_serializable(package="fieldnets")
class MaxOverTime(OverTime):
    """Take each feature's highest value over the real steps."""

    def call(self, x: Any, steps: Any) -> Any:
        """Map (batch, length, features) and its bool mask to (batch, features)."""
        return ops.max(ops.where(steps[..., None], x, _lowest(x)), axis=1)


@keras.saving.register_keras_serializable(package="fieldnets")
class MeanOverTime(OverTime):
    """Average the real steps."""

    def call(self, x: Any, steps: Any) -> Any:
        """Map (batch, length, features) and its bool mask to (batch, features)."""
        weights = _weights(steps, x)
        return ops.sum(x * weights, axis=1) / ops.sum(weights, axis=1)


@keras.saving.register_keras_serializable(package="fieldnets")
class AttentionPooling(OverTime):
    """Average the real steps with learnt weights: softmax over time of ``v . tanh(W x + b)``.

    Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", equations 5 to 7.
    """

    def build(self, x_shape: Any, steps_shape: Any) -> None:  # noqa: ARG002 (Keras goes by the names)
        """Create W, b and v for the number of features."""
        size = x_shape[-1]
        self.kernel = self.add_weight(shape=(size, size), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")
        self.query = self.add_weight(shape=(size, 1), initializer="glorot_uniform", name="query")

    def call(self, x: Any, steps: Any) -> Any:
        """Map (batch, length, features) and its bool mask to (batch, features)."""
        scores = ops.matmul(ops.tanh(ops.matmul(x, self.kernel) + self.bias), self.query)
        weights = ops.softmax(ops.where(steps[..., None], scores, _lowest(scores)), axis=1)
        return ops.sum(x * weights, axis=1)


@keras.saving.register_keras_serializable(package="fieldnets")
class DownsampleMax(keras.layers.Layer):  # type: ignore[misc]
    """Keep each feature's highest value of every ``factor`` steps, counted from the start of the row.

    Keras' own ``MaxPooling1D`` centres its windows on the row or drops its end, so more padding would move
    them.
    """

    def __init__(self, factor: int, *, name: str | None = None, dtype: Any = None, trainable: bool = True) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.factor = factor

    def call(self, x: Any, steps: Any) -> tuple[Any, Any]:
        """Map (batch, length, features) of at least 0 and its mask to both at ceil(length / factor) steps."""
        kept = self._pool(x * _weights(steps, x))
        return kept, self._pool(_weights(steps, x))[..., 0] > 0

    def _pool(self, x: Any) -> Any:
        padded = ops.pad(x, ((0, 0), (0, self.factor - 1), (0, 0)))
        return ops.max_pool(padded, self.factor, strides=self.factor, padding="valid")

    def compute_output_spec(self, x: Any, _steps: Any) -> Any:
        """Describe the shorter sequence and its mask."""
        batch, length, features = x.shape
        shorter = None if length is None else -(-length // self.factor)
        kept = keras.KerasTensor((batch, shorter, features), dtype=self.compute_dtype)
        return kept, keras.KerasTensor((batch, shorter), dtype="bool")

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "factor": self.factor}


def _weights(steps: Any, x: Any) -> Any:
    return ops.cast(steps, x.dtype)[..., None]


def _lowest(x: Any) -> float:
    # float16 ends at 65,504; a softmax or maximum never picks this value beside real ones.
    return -6e4 if keras.backend.standardize_dtype(x.dtype) == "float16" else -1e9
