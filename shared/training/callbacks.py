"""What happens at the end of an epoch, and what a person sees meanwhile."""

import contextlib
import contextvars
import logging
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import rich.progress
import rich.table
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.scalar import summary_v2
from tensorboard.summary.writer import event_file_writer

from shared import errors, files, progress
from shared.training import checkpoints, runtime

Validate = Callable[[], dict[str, float]]
# (checkpoint, epoch, value of the monitor): told of each epoch; may raise, to end the training.
Report = Callable[[pathlib.Path, int, float], None]
_REPORT: contextvars.ContextVar[Report | None] = contextvars.ContextVar("report", default=None)
# Width of the bar: at 80 columns the time left and the metric stand beside it.
_BAR_CHARACTERS = 8
_LOG = logging.getLogger(__name__)


class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Validate the epoch, keep the best weights, decide whether to stop, and only then write the checkpoint.

    The decision to stop is inside the checkpoint, so a training that is killed right after it does not go on.
    """

    def __init__(
        self, *, state: checkpoints.State, validate: Validate, epochs: int, patience: int, checkpoint: pathlib.Path
    ) -> None:
        """Take the state to go on from.

        Args:
            state: Changed in place at the end of every epoch.
            validate: Returns the validation columns of the history; ``validation_metric`` is the one to raise.
            epochs: Most epochs.
            patience: Epochs without a new best value after which to stop; 0 = never.
            checkpoint: File to write.
        """
        super().__init__()
        self._state = state
        self._validate = validate
        self._epochs = epochs
        self._patience = patience
        self._checkpoint = checkpoint
        self._clock = time.monotonic()

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Start the clock."""
        self._clock = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Complete the epoch."""
        row = {
            "epoch": epoch + 1,
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "loss": float((logs or {})["loss"]),
        }
        _refuse_divergence(row)
        _make_replicas_agree(self.model)
        with AveragedWeights(self.model):
            row |= self._validate()
            _refuse_divergence(row)
            self._remember_if_best(row)
        self._close(row)

    def _remember_if_best(self, row: Mapping[str, float]) -> None:
        if row["validation_metric"] > self._state.best_value:
            self._state.best_value = row["validation_metric"]
            self._state.best_epoch = int(row["epoch"])
            self._state.best_weights = self.model.get_weights()

    def _close(self, row: dict[str, float]) -> None:
        state = self._state
        state.history.append(row)
        stale = state.epoch - state.best_epoch
        state.finished = state.epoch >= self._epochs or 0 < self._patience <= stale
        state.seconds += time.monotonic() - self._clock
        self._clock = time.monotonic()
        checkpoints.save(self._checkpoint, model=self.model, state=state)
        self.model.stop_training = state.finished
        _LOG.info("epoch %d of %d: %s", state.epoch, self._epochs, row)


class Divergence(keras.callbacks.Callback):  # type: ignore[misc]
    """End a training at the batch whose loss is no finite number: the checkpoint keeps the weights of before.

    A batch is looked at when the next one is under way, so that no device waits for it.
    """

    def __init__(self, *, steps: int) -> None:
        """Take the number of batches in an epoch."""
        super().__init__()
        self._steps = steps
        self._epoch = 0
        self._last: tuple[int, Mapping[str, Any]] = (0, {})

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Remember which epoch it is."""
        self._epoch = epoch
        self._last = (0, {})

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the batch before."""
        self._look()
        self._last = (batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Look at the last batch."""
        self._look()

    def _look(self) -> None:
        batch, logs = self._last
        broken = {name: number for name, value in logs.items() if not np.isfinite(number := _as_float(value))}
        if broken:
            raise errors.FieldnetsError(
                f"epoch {self._epoch + 1}, batch {batch + 1} of {self._steps}: expected finite numbers. Received: "
                f"{broken}. A lower learning rate or gradient clipping usually helps; the checkpoint keeps the "
                "weights of the last complete epoch."
            )


def _as_float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float(keras.ops.convert_to_numpy(value))


@contextlib.contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Let a search hear of every epoch of every network that is trained in the block, whoever trains it."""
    token = _REPORT.set(report)
    try:
        yield
    finally:
        _REPORT.reset(token)


class Reports(keras.callbacks.Callback):  # type: ignore[misc]
    """Tell the epoch's value to whom `reporting` names; it must come after `EpochEnd`."""

    def __init__(self, rows: Sequence[Mapping[str, float]], checkpoint: pathlib.Path) -> None:
        """Take the list that `EpochEnd` appends to, and the training's checkpoint."""
        super().__init__()
        self._rows = rows
        self._checkpoint = checkpoint

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Report."""
        report = _REPORT.get()
        if report is not None:
            report(self._checkpoint, int(self._rows[-1]["epoch"]), self._rows[-1]["validation_metric"])


class AveragedWeights:
    """Let a block see the moving average of the weights, or the weights when the optimizer keeps none.

    Keras' ``SwapEMAWeights`` swaps by adding and subtracting, which does not bring back the same bits.
    """

    def __init__(self, model: keras.Model) -> None:
        """Remember nothing yet."""
        self._model = model
        self._weights: list[np.ndarray] = []

    def __enter__(self) -> None:
        """Put the averages in."""
        variables = self._model.trainable_variables
        self._weights = [keras.ops.convert_to_numpy(variable) for variable in variables]
        self._model.optimizer.finalize_variable_values(variables)
        for variable in variables:
            # JAX gives the memory of a model's variables away when it predicts: the optimizer must not share it.
            variable.assign(keras.ops.convert_to_numpy(variable))

    def __exit__(self, *_: object) -> None:
        """Put the weights back."""
        for variable, value in zip(self._model.trainable_variables, self._weights, strict=True):
            variable.assign(value)


class History(keras.callbacks.Callback):  # type: ignore[misc]
    """Show the history as ``history.csv`` and as TensorBoard events.

    Both are views of the rows in the checkpoint, written anew when a training goes on: a kill between the
    checkpoint and them leaves no row missing and none twice.
    """

    def __init__(self, rows: Sequence[Mapping[str, float]], *, table: pathlib.Path, logs: pathlib.Path) -> None:
        """Take the list that `EpochEnd` appends to; this callback must come after it."""
        super().__init__()
        self._rows = rows
        self._table = table
        self._logs = logs
        self._writer: Any = None

    def __enter__(self) -> "History":
        """Write the rows of earlier processes."""
        checkpoints.remove_leftovers(self._table)
        for events in self._logs.glob("events.out.tfevents.*"):
            events.unlink()
        self._writer = event_file_writer.EventFileWriter(str(self._logs))
        for row in self._rows:
            self._write_events(row)
        if self._rows:
            self._write_table()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the event file."""
        self._writer.close()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Add the row of this epoch."""
        self._write_events(self._rows[-1])
        self._write_table()

    def _write_events(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            summary = summary_v2.scalar_pb(name, value)
            self._writer.add_event(event_pb2.Event(step=int(row["epoch"]), wall_time=time.time(), summary=summary))
        self._writer.flush()

    def _write_table(self) -> None:
        files.write_text(self._table, pd.DataFrame(list(self._rows)).to_csv(index=False, lineterminator="\n"))


class ProgressBar(keras.callbacks.Callback):  # type: ignore[misc]
    """Draw the position in the whole training, with the time left, on standard error."""

    def __init__(self, state: checkpoints.State, *, epochs: int, steps: int, is_loss: bool = False) -> None:
        """Begin where ``state`` stands; ``is_loss``: what is raised is minus a log-loss, which is what is shown."""
        super().__init__()
        self._state = state
        self._is_loss = is_loss
        self._epochs = epochs
        self._steps = steps
        self._bar = rich.progress.Progress(
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeRemainingColumn(),
            rich.progress.BarColumn(bar_width=_BAR_CHARACTERS),
            # Last, so that a narrow terminal cuts the end of the text and not the time left.
            rich.progress.TextColumn("{task.description}", table_column=rich.table.Column(no_wrap=True)),
            console=progress.console(),
            transient=True,
        )
        self._task = self._bar.add_task(self._description(), total=epochs * steps, completed=state.epoch * steps)

    def __enter__(self) -> "ProgressBar":
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back, also after an error."""
        self._bar.stop()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Move on by what the last execution did."""
        self._bar.update(self._task, completed=self._state.epoch * self._steps + batch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Tell the value that the epoch reached."""
        self._bar.update(self._task, description=self._description())

    def _description(self) -> str:
        position = f"epoch {min(self._state.epoch + 1, self._epochs)}/{self._epochs}"
        if not self._state.history:
            return position
        last = self._state.history[-1]
        name, sign = ("log-loss", -1) if self._is_loss else ("validation", 1)
        reached, best = sign * last["validation_metric"], sign * self._state.best_value
        return f"{position}  {name} {reached:.4f} (best {best:.4f} in epoch {self._state.best_epoch})"


@contextlib.contextmanager
def progress_bar(
    state: checkpoints.State, *, epochs: int, steps: int, wanted: bool, is_loss: bool = False
) -> Iterator[list[ProgressBar]]:
    """Yield the progress bar in a list, which is empty where nobody looks."""
    if not (wanted and progress.is_shown()):
        yield []
        return
    with ProgressBar(state, epochs=epochs, steps=steps, is_loss=is_loss) as bar:
        yield [bar]


def _make_replicas_agree(model: keras.Model) -> None:
    """Give every replica the first one's BatchNorm statistics, which are all that a checkpoint holds.

    Keras lets each replica keep its own, and then a validation after a kill would not be the one without it.
    """
    if runtime.replicas_of(model) > 1:
        for variable in model.non_trainable_variables:
            variable.assign(keras.ops.convert_to_numpy(variable))


def _refuse_divergence(row: Mapping[str, float]) -> None:
    broken = {name: value for name, value in row.items() if not np.isfinite(value)}
    if broken:
        raise errors.FieldnetsError(
            f"Epoch {row['epoch']:.0f}: expected finite numbers. Received: {broken}. "
            "A lower learning rate or gradient clipping usually helps."
        )
