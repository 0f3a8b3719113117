"""A transformer's encoder of texts (BERT; Devlin et al. 2019, https://aclanthology.org/N19-1423) with a classifier.

Norms stand after the residual sums, as in the original. Weights: ``encoder_weights``.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

from shared.models import building, sequences

EMBEDDING_LAYER = "embedding"
"""The word pieces' vectors before positions are added, (batch, length, width): what integrated gradients vary."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large an encoder is; the defaults are those of MiniLM-L6-H384 (Wang et al. 2020).

    Attributes:
        vocabulary_size: Number of word pieces, padding (0) included.
        positions: Most pieces of a text.
        blocks: Transformer blocks.
        width: Numbers per piece.
        heads: Of the attention; they share the width.
        hidden_units: Of the feed-forward layers.
        epsilon: Of the normalizations.
        approximate_gelu: Whether the feed-forward layers' GELU is the one by the hyperbolic tangent.
    """

    vocabulary_size: int = 30_522
    positions: int = 512
    blocks: int = 6
    width: int = 384
    heads: int = 12
    hidden_units: int = 1536
    epsilon: float = 1e-12
    approximate_gelu: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        counts = (self.positions, self.blocks, self.width, self.heads, self.hidden_units)
        building.check_counts("positions, blocks, width, heads, hidden_units", counts)
        building.check_counts("vocabulary_size", (self.vocabulary_size,), minimum=2)
        if self.width % self.heads:
            raise ValueError(f"Expected heads to divide width {self.width}. Received: {self.heads}")


def block_name(number: int) -> str:
    """Return the name of a block, counted from 1; block 0 is what the embeddings come to."""
    return f"block_{number}" if number else "positions"


def build_encoder(sizes: Sizes, *, classes: int, dropout_rate: float = 0.1) -> keras.Model:
    """Build the encoder with a classifier on the mean of the pieces' vectors, with random weights.

    Args:
        sizes: Of the encoder.
        classes: Number of classes, at least 2.
        dropout_rate: Part dropped after attention, after the feed-forward layers and before the logits while
            training, in [0, 1).

    Returns:
        An uncompiled model: ``pieces`` (batch, length) int32, 0 = padding at the end, at most ``sizes.positions``, to
        ``logits`` (batch, classes) float32. Layer ``average`` is the text's vector (batch, width).

    Raises:
        ValueError: An argument is outside its range.
    """
    building.check_rate("dropout_rate", dropout_rate)
    pieces = keras.Input((None,), dtype="int32", name="pieces")
    mask = sequences.RealSteps(name="mask")(pieces)
    x = keras.layers.Embedding(sizes.vocabulary_size, sizes.width, name=EMBEDDING_LAYER)(pieces)
    x = AddPositions(sizes.positions, epsilon=sizes.epsilon, name=block_name(0))(x)
    for number in range(1, sizes.blocks + 1):
        x = TransformerBlock(
            heads=sizes.heads,
            hidden_units=sizes.hidden_units,
            epsilon=sizes.epsilon,
            dropout_rate=dropout_rate,
            approximate_gelu=sizes.approximate_gelu,
            name=block_name(number),
        )(x, mask)
    x = sequences.MeanOverTime(name="average")(x, mask)
    x = building.dropout(x, rate=dropout_rate, name="dropout")
    return keras.Model(pieces, building.logits(x, classes=classes), name="encoder")


def split(network: keras.Model, *, frozen_blocks: int) -> tuple[keras.Model, keras.Model]:
    """Cut an encoder into what stays as it is and what learns; both share the network's layers and weights.

    Args:
        network: From ``build_encoder``.
        frozen_blocks: Blocks of the first part; 0: the embeddings alone.

    Returns:
        ``pieces`` (batch, length) int32 to (batch, length, width); and ``activations`` (batch, length, width) float16,
        zeros at the padding, to logits.

    Raises:
        ValueError: There are not so many blocks.
    """
    blocks = [layer for layer in network.layers if isinstance(layer, TransformerBlock)]
    if not 0 <= frozen_blocks <= len(blocks):
        raise ValueError(f"Expected frozen_blocks in 0 to {len(blocks)}. Received: {frozen_blocks}")
    lower = keras.Model(network.input, network.get_layer(block_name(frozen_blocks)).output, name="frozen")
    activations = keras.Input((None, lower.output.shape[-1]), dtype="float16", name="activations")
    mask = sequences.RealSteps(name="mask")(activations)
    x = Widen(name="widen")(activations)
    for block in blocks[frozen_blocks:]:
        x = block(x, mask)
    x = network.get_layer("average")(x, mask)
    names = [layer.name for layer in network.layers]
    for name in names[names.index("average") + 1 :]:
        x = network.get_layer(name)(x)
    return lower, keras.Model(activations, x, name=network.name)


@keras.saving.register_keras_serializable(package="fieldnets")
class Widen(keras.layers.Layer):  # type: ignore[misc]
    """Turn stored float16 activations into what the layers compute with."""

    def __init__(self, *, name: str | None = None, dtype: Any = None, trainable: bool = True) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable, autocast=False)

    def call(self, x: Any) -> Any:
        """Map float16 to the layer's type of computation."""
        return ops.cast(x, self.compute_dtype)


@keras.saving.register_keras_serializable(package="fieldnets")
class AddPositions(keras.layers.Layer):  # type: ignore[misc]
    """Add the vectors of the positions and of the first segment, and normalize."""

    def __init__(
        self,
        positions: int,
        *,
        epsilon: float = 1e-12,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.positions = positions
        self.epsilon = epsilon
        self.normalization = keras.layers.LayerNormalization(
            epsilon=epsilon, dtype=self.dtype_policy, name="normalization"
        )

    def build(self, shape: Any) -> None:
        """Create the vectors of the positions; the segment's is added to each of them."""
        self.table = self.add_weight(shape=(self.positions, shape[-1]), initializer="uniform", name="table")
        self.normalization.build(shape)

    def call(self, x: Any) -> Any:
        """Map (batch, length, width) to the same shape."""
        return self.normalization(x + ops.cast(self.table[: ops.shape(x)[1]], x.dtype))

    def compute_output_spec(self, x: Any) -> Any:
        """Describe the same shape."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "positions": self.positions, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="fieldnets")
class TransformerBlock(keras.layers.Layer):  # type: ignore[misc]
    """Self-attention and a feed-forward layer, each with dropout, a residual sum and a normalization."""

    def __init__(  # noqa: PLR0913
        self,
        *,
        heads: int,
        hidden_units: int,
        epsilon: float = 1e-12,
        dropout_rate: float = 0.1,
        approximate_gelu: bool = False,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.heads = heads
        self.hidden_units = hidden_units
        self.epsilon = epsilon
        self.dropout_rate = dropout_rate
        self.approximate_gelu = approximate_gelu

    def build(self, x_shape: Any, steps_shape: Any = None) -> None:  # noqa: ARG002 (Keras goes by the names)
        """Create the products and the normalizations."""
        width, policy = x_shape[-1], self.dtype_policy

        def product(units: int, name: str, inputs: int) -> keras.layers.Dense:
            layer = keras.layers.Dense(units, dtype=policy, name=name)
            layer.build((*x_shape[:-1], inputs))
            return layer

        def normalization(name: str) -> keras.layers.LayerNormalization:
            layer = keras.layers.LayerNormalization(epsilon=self.epsilon, dtype=policy, name=name)
            layer.build(x_shape)
            return layer

        # Queries, keys and values in one product, which is faster than three.
        self.projection = product(3 * width, "projection", width)
        self.attention = product(width, "attention", width)
        self.attention_normalization = normalization("attention_normalization")
        self.expansion = product(self.hidden_units, "expansion", width)
        self.contraction = product(width, "contraction", self.hidden_units)
        self.output_normalization = normalization("output_normalization")
        self.dropout = keras.layers.Dropout(self.dropout_rate, dtype=policy, name="dropout")

    def call(self, x: Any, steps: Any, training: bool | None = None) -> Any:
        """Map (batch, length, width) and its bool mask (batch, length) to the same shape."""
        attended = self.dropout(self.attention(self._attend(x, steps)), training=training)
        x = self.attention_normalization(x + attended)
        hidden = self.contraction(ops.gelu(self.expansion(x), approximate=self.approximate_gelu))
        return self.output_normalization(x + self.dropout(hidden, training=training))

    def _attend(self, x: Any, steps: Any) -> Any:
        """Average the values by softmax of scaled products of queries and keys (Vaswani et al. 2017, equation 1)."""
        length, size = ops.shape(x)[1], x.shape[-1] // self.heads
        parts = ops.reshape(self.projection(x), (-1, length, 3, self.heads, size))
        query, key, value = (ops.transpose(parts[:, :, i], (0, 2, 1, 3)) for i in range(3))
        products = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2)))
        lowest = -6e4 if keras.backend.standardize_dtype(products.dtype) == "float16" else -1e9
        weights = ops.softmax(ops.where(steps[:, None, None, :], products, lowest), axis=-1)
        joined = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        return ops.reshape(joined, (-1, length, self.heads * size))

    def compute_output_spec(self, x: Any, _steps: Any, training: bool | None = None) -> Any:  # noqa: ARG002 (Keras' name)
        """Describe the same shape."""
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        own = ("heads", "hidden_units", "epsilon", "dropout_rate", "approximate_gelu")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
