"""Recurrent networks on float sequences and on token ids.

On a CPU these are Keras' own layers because they were the fastest of what was tried (CPU time of a training
step, bidirectional LSTM, 64 texts of 256 tokens): one loop for both directions over inputs projected
beforehand took 1.4 to 2.1 times as long (it moves the four times wider projections through the loop), and
so did unrolling four or eight steps per round. On a GPU the same layers use cuDNN. What does help is fewer
steps: see ``Recurrence.downsampling``.
"""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import keras

from shared.models import building, sequences

Cell = typing.Literal["lstm", "gru", "simple"]
LOCAL_WINDOW = 5
_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple": keras.layers.SimpleRNN}
_POOLS = {
    "attention": sequences.AttentionPooling,
    "mean": sequences.MeanOverTime,
    "max": sequences.MaxOverTime,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recurrence:
    """The recurrent part of a network.

    Attributes:
        cell: Long short-term memory, gated recurrent unit, or the simple (Elman) cell.
        units: State size of each layer and direction; several = stacked.
        bidirectional: Also read each sequence from its end, and set both states side by side.
        pooling: How the states become one vector: weighted by learnt attention, the last state of each
            direction, the mean or the maximum.
        downsampling: Steps merged into one before the first recurrent layer, by a convolution over 5 steps
            and a maximum; 1 = off. For long texts: 2 cut the CPU time of a training step to two thirds, 4 to
            under a half (bidirectional LSTM, 64 texts of 256 to 400 tokens).
        dropout_rate: Part of each layer's output dropped while training, in [0, 1).
    """

    cell: Cell = "lstm"
    units: tuple[int, ...] = (64,)
    bidirectional: bool = True
    pooling: sequences.Pooling = "attention"
    downsampling: int = 1
    dropout_rate: float = 0.0


def build_rnn(
    *,
    input_shape: tuple[int | None, int],
    classes: int,
    recurrence: Recurrence | None = None,
    hidden_units: Sequence[int] = (),
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Build a recurrent classifier of float sequences.

    Args:
        input_shape: (length, features) of input ``sequence``, float32, already standardized; the length may
            be None. Steps at the end whose features are all exactly 0 are padding.
        classes: Number of classes, at least 2.
        recurrence: The recurrent part; None = one bidirectional LSTM of 64 units with attention.
        hidden_units: Units of each fully connected layer after the pooling.
        dropout_rate: Part dropped after each hidden layer while training, in [0, 1).

    Returns:
        An uncompiled model: (batch, length, features) to ``logits`` (batch, classes) float32. More padding
        changes nothing.

    Raises:
        ValueError: An argument is outside its range.
    """
    building.check_rank("input_shape", input_shape, (2,))
    inputs = keras.Input(input_shape, name="sequence")
    mask = sequences.RealSteps(name="mask")(inputs)
    x = recur(inputs, mask, recurrence or Recurrence())
    x = building.hidden(x, units=hidden_units, activation="relu", dropout_rate=dropout_rate)
    return keras.Model(inputs, building.logits(x, classes=classes), name="rnn")


def build_text_rnn(
    *,
    tokens: sequences.TokenEmbedding,
    classes: int,
    recurrence: Recurrence | None = None,
    hidden_units: Sequence[int] = (),
    dropout_rate: float = 0.0,
) -> keras.Model:
    """Build a recurrent classifier of texts.

    Args:
        tokens: The embedding.
        classes: Number of classes, at least 2.
        recurrence: The recurrent part; None = one bidirectional LSTM of 64 units with attention.
        hidden_units: Units of each fully connected layer after the pooling.
        dropout_rate: Part dropped after each hidden layer while training, in [0, 1).

    Returns:
        An uncompiled model: ``tokens`` (batch, length) int32, 0 = padding at the end, to ``logits`` (batch,
        classes) float32. More padding changes nothing.

    Raises:
        ValueError: An argument is outside its range.
    """
    ids, x, mask = sequences.embed(tokens)
    x = recur(x, mask, recurrence or Recurrence())
    x = building.hidden(x, units=hidden_units, activation="relu", dropout_rate=dropout_rate)
    return keras.Model(ids, building.logits(x, classes=classes), name="text_rnn")


def recur(x: Any, mask: Any, recurrence: Recurrence) -> Any:
    """Map (batch, length, features) and its bool mask (batch, length), real steps first, to (batch, states).

    Raises:
        ValueError: An argument is outside its range.
    """
    _check_recurrence(recurrence)
    if recurrence.downsampling > 1:
        x, mask = _downsample(x, mask, recurrence)
    for number, units in enumerate(recurrence.units, start=1):
        # With the mask, Keras carries the last real state to the end of the row: that is the "last"
        # pooling.
        to_one_state = recurrence.pooling == "last" and number == len(recurrence.units)
        x = _layer(recurrence, units=units, every_state=not to_one_state, number=number)(x, mask=mask)
        x = building.dropout(x, rate=recurrence.dropout_rate, name=f"recurrent_{number}_dropout")
    return x if recurrence.pooling == "last" else _POOLS[recurrence.pooling](name="pooling")(x, mask)


def _downsample(x: Any, mask: Any, recurrence: Recurrence) -> tuple[Any, Any]:
    local = keras.layers.Conv1D(
        recurrence.units[0],
        LOCAL_WINDOW,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        name="local_features",
    )(x)
    shorter, mask = sequences.DownsampleMax(recurrence.downsampling, name="downsample")(local, mask)
    return shorter, mask


def _layer(recurrence: Recurrence, *, units: int, every_state: bool, number: int) -> Any:
    name = f"recurrent_{number}"
    layer = _CELLS[recurrence.cell](units, return_sequences=every_state, name=name)
    return keras.layers.Bidirectional(layer, name=f"{name}_both_ways") if recurrence.bidirectional else layer


def _check_recurrence(recurrence: Recurrence) -> None:
    building.check_choice("cell", recurrence.cell, typing.get_args(Cell))
    building.check_choice("pooling", recurrence.pooling, typing.get_args(sequences.Pooling))
    building.check_some("units", recurrence.units)
    building.check_counts("downsampling", (recurrence.downsampling,))
    building.check_rate("dropout_rate", recurrence.dropout_rate)
