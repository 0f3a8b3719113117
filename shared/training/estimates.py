"""What a training would take: every network is built and trained for a few steps, and the rest is reckoned from them.

``train --dry-run`` runs the app's own training in a folder that goes with it, inside `measuring`: ``fit`` trains on
a few batches only, once, and notes what it was asked for. So data are read, split and decoded, networks built, and
calibrated as they would be, and no second description of an app's training can be out of date.
"""

import contextlib
import contextvars
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from shared.training import datasets

# The first step compiles; the others are timed.
STEPS = 4
# A backward pass costs twice a forward one: Kaplan et al. 2020, "Scaling laws for neural language models", section 2.1.
TRAINING_PASSES = 3


@dataclasses.dataclass(kw_only=True)
class Planned:
    """One call of ``fit``: what it was asked for, and what its few steps took.

    Attributes:
        name: Of the checkpoints' folder.
        inputs: Input -> shape of a row; None where rows differ in length.
        rows: Of the training and the validation part.
        parameters: Of the network.
        trained_parameters: Those that are not frozen.
        flops: Floating-point operations of one row, forward; see `forward_flops`. None: it depends on its size.
        epochs: At most.
        steps: In an epoch.
        batch_rows: At most.
        step_seconds: Of a training step; 0 before it was measured.
        validation_seconds: Of what happens between two epochs: validation, and the checkpoint.
        compile_seconds: What the first step took longer than the others.
        measured_seconds: What all of it took.
    """

    name: str
    inputs: Mapping[str, tuple[int | None, ...]]
    rows: tuple[int, int]
    parameters: int
    trained_parameters: int
    flops: int | None
    epochs: int
    steps: int
    batch_rows: int
    step_seconds: float = 0.0
    validation_seconds: float = 0.0
    compile_seconds: float = 0.0
    measured_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """What all epochs would take, compiling included."""
        return self.compile_seconds + self.epochs * (self.steps * self.step_seconds + self.validation_seconds)

    def _all_flops(self, flops: int) -> int:
        return TRAINING_PASSES * flops * self.rows[0] * self.epochs

    def to_json(self) -> dict[str, Any]:
        """Return a row of what ``train --dry-run`` prints."""
        shapes = {name: "x".join("?" if side is None else str(side) for side in shape) or "1" for name, shape in
                  self.inputs.items()}  # fmt: skip
        return {
            "network": self.name,
            "inputs": ", ".join(f"{name} {shape}" for name, shape in shapes.items()),
            "training rows": self.rows[0],
            "validation rows": self.rows[1],
            "parameters": self.parameters,
            "trained": self.trained_parameters,
            "MFLOP a row": None if self.flops is None else round(self.flops / 1e6, 3),
            "TFLOP in all": None if self.flops is None else round(self._all_flops(self.flops) / 1e12, 4),
            "epochs": self.epochs,
            "steps an epoch": self.steps,
            "ms a step": round(1000 * self.step_seconds, 1),
            "seconds": round(self.seconds, 1),
        }


_MEASURED: contextvars.ContextVar[list[Planned] | None] = contextvars.ContextVar("measured", default=None)


@contextlib.contextmanager
def measuring() -> Iterator[list[Planned]]:
    """Let every training in the block be a few steps long, and yield the list of them."""
    found: list[Planned] = []
    token = _MEASURED.set(found)
    try:
        yield found
    finally:
        _MEASURED.reset(token)


def few(train: datasets.Arrays, batch_size: datasets.BatchSize) -> datasets.Arrays:
    """Return rows for a few steps, spread over all of them; all rows outside of a dry run."""
    if _MEASURED.get() is None or isinstance(batch_size, str):
        return train
    rows = min(STEPS * batch_size, len(train))
    return train.take(np.linspace(0, len(train) - 1, rows).astype(np.int64))


def wanted_epochs(epochs: int) -> int:
    """Return 1 in a dry run, and ``epochs`` otherwise."""
    return epochs if _MEASURED.get() is None else 1


def steps_at_once(steps: int) -> int:
    """Return 1 in a dry run, whose steps are timed one by one, and ``steps`` otherwise."""
    return steps if _MEASURED.get() is None else 1


class Timer(keras.callbacks.Callback):  # type: ignore[misc]
    """Times the steps and what follows an epoch; it must come before the callback that validates."""

    def __init__(self, planned: Planned) -> None:
        """Take what is filled in."""
        super().__init__()
        self._planned = planned
        self._ends: list[tuple[int, float]] = []
        self._began = self._epoch_ended = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Note the time; the loss is read, so that the device has done its work."""
        for value in (logs or {}).values():
            float(value)
        self._ends.append((batch, time.monotonic()))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note the time."""
        self._epoch_ended = time.monotonic()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Fill in what was measured."""
        first, last = self._ends[0], self._ends[-1]
        steps = last[0] - first[0]
        # One step only: what it took, compiling included.
        self._planned.step_seconds = (last[1] - first[1]) / steps if steps else first[1] - self._began
        self._planned.compile_seconds = max(0.0, first[1] - self._began - self._planned.step_seconds)
        self._planned.validation_seconds = time.monotonic() - self._epoch_ended
        self._planned.measured_seconds = time.monotonic() - self._began


def planned(
    model: keras.Model, train: datasets.Arrays, *, name: str, validation_rows: int, epochs: int,
    batch_size: datasets.BatchSize,
) -> list[Timer]:  # fmt: skip
    """Note a training that is asked for, and return what times it; nothing outside of a dry run."""
    found = _MEASURED.get()
    if found is None:
        return []
    lengths = train.lengths
    width = None if lengths is None else max(1, math.ceil(float(np.mean(lengths))))
    new = Planned(
        name=name,
        inputs={key: (None,) if isinstance(rows, datasets.Ragged) else rows.shape[1:] for key, rows in
                train.inputs.items()},
        rows=(len(train), validation_rows),
        parameters=int(model.count_params()),
        trained_parameters=sum(math.prod(each.shape) for each in model.trainable_variables),
        flops=forward_flops(model, width=width),
        epochs=epochs,
        steps=datasets.steps(len(train), batch_size=batch_size),
        batch_rows=len(train) if isinstance(batch_size, str) else min(batch_size, len(train)),
    )  # fmt: skip
    found.append(new)
    return [Timer(new)]


def forward_flops(model: keras.Model, *, width: int | None = None) -> int | None:
    """Return the floating-point operations of one row: two for each weight of a kernel and each place it is applied at.

    That is a multiplication and an addition, as in He et al. 2016 (https://arxiv.org/abs/1512.03385), whose "FLOPs" are
    such pairs, counted once. Biases, normalization, activations and pooling, some percent, are left out; layers that
    read whole numbers look their rows up and count nothing; a recurrent kernel is applied at every step.

    Args:
        model: A network.
        width: What stands for a side that differs from row to row; None: nothing does, and there is no number where a
            layer has such a side.

    >>> dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> forward_flops(dense)
    24
    """
    each = [_layer_flops(layer, width) for layer in model._flatten_layers(include_self=False)]
    known = [flops for flops in each if flops is not None]
    return sum(known) if len(known) == len(each) else None


def _layer_flops(layer: keras.Layer, width: int | None) -> int | None:
    # A GRU has two rows of biases.
    kernels = [each for each in layer.weights if len(each.shape) >= 2 and each.name != "bias"]
    # The layers within a model, unlike those within a layer, are counted by themselves.
    if not kernels or isinstance(layer, keras.Model) or not layer._inbound_nodes:
        return 0
    recurrent = any(isinstance(each, keras.layers.RNN) for each in layer._flatten_layers())
    total = 0
    for node in layer._inbound_nodes:
        read, made = node.input_tensors[0], node.output_tensors[0]
        if keras.backend.is_int_dtype(read.dtype):
            continue
        sides = read.shape[1:2] if recurrent else made.shape[1:-1]
        known = [width if side is None else side for side in sides]
        if None in known:
            return None
        total += math.prod(side for side in known if side is not None)
    return int(2 * total * sum(math.prod(each.shape) for each in kernels))
