"""Train a model: the only caller of ``model.fit``.

One seed gives one set of weights, bit for bit, and a training that is killed at any moment and called again
gives the same weights as one that was not: `shared.training.datasets` sees to the order of the rows,
`shared.training.checkpoints` to the rest.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from shared import errors
from shared.training import batches as batching
from shared.training import budgets, callbacks, datasets, estimates, optimizers, runtime, workers

Monitor = Callable[[np.ndarray, np.ndarray], float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How to train.

    Attributes:
        epochs: Most passes over the training rows.
        batch_size: Most rows in a batch; 1 = stochastic, ``"all"`` = full-batch gradient descent.
        optimizer: sgd, momentum (Nesterov, 0.9), adam or adamw.
        learning_rate: The schedule's highest value.
        schedule: constant, cosine or one_cycle.
        warmup_fraction: Part of the training in which the learning rate rises from 0, in [0, 1).
        weight_decay: Decoupled decay of everything but biases and normalization scales.
        gradient_clip_norm: Highest norm of all gradients together; None = no clipping.
        ema_momentum: Evaluate and keep the exponential moving average of the weights; None = the weights.
        patience: Epochs without a better validation value after which to stop; 0 = never.
        seed: Of the order of the rows and of augmentation.
        bucket_by_length: Whether batches of ragged rows hold rows of similar length.
        evaluation_batch_size: Rows in a validation batch; changes the speed only.
        steps_per_execution: Most steps between two looks of Python at the training, with the same weights.
            With 8 a small dense network takes half the processor time.
        jit_compile: Whether XLA compiles the step. It does again for every new width of ragged rows.
        layer_rates: Layer's name -> what the learning rate is multiplied by there (adam and adamw); others 1.

    Raises:
        errors.InputError: A value is out of its range.
    """

    epochs: int = 10
    batch_size: datasets.BatchSize = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_fraction: float = 0.0
    weight_decay: float = 0.0
    gradient_clip_norm: float | None = None
    ema_momentum: float | None = None
    patience: int = 3
    seed: int = 0
    bucket_by_length: bool = True
    evaluation_batch_size: int = 256
    steps_per_execution: int = 1
    jit_compile: bool = False
    layer_rates: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        whole = isinstance(self.batch_size, int) and self.batch_size >= 1
        valid = whole or self.batch_size == "all"
        expect("batch_size", self.batch_size, 'at least 1, or "all"', valid=valid)
        for name in ("epochs", "evaluation_batch_size", "steps_per_execution"):
            expect(name, getattr(self, name), "at least 1", valid=getattr(self, name) >= 1)
        for name in ("weight_decay", "patience", "seed"):
            expect(name, getattr(self, name), "at least 0", valid=getattr(self, name) >= 0)
        expect("learning_rate", self.learning_rate, "more than 0", valid=self.learning_rate > 0)
        expect("warmup_fraction", self.warmup_fraction, "in [0, 1)", valid=0 <= self.warmup_fraction < 1)
        clip, momentum = self.gradient_clip_norm, self.ema_momentum
        expect("gradient_clip_norm", clip, "more than 0", valid=clip is None or clip > 0)
        expect("ema_momentum", momentum, "in (0, 1)", valid=momentum is None or 0 < momentum < 1)
        for name, choices in (("optimizer", optimizers.OPTIMIZERS), ("schedule", optimizers.SCHEDULES)):
            expect(name, getattr(self, name), f"one of {choices}", valid=getattr(self, name) in choices)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outputs:
    """Where a training leaves its traces; two trainings must not share a path.

    Attributes:
        checkpoints: Folder of the checkpoint, from which the same call goes on.
        history: CSV file, one row for each epoch.
        logs: Folder of TensorBoard events.
        progress: Whether to draw a progress bar where standard error is a terminal.
        is_log_loss: Whether the monitor is minus a log-loss: the bar shows the log-loss, as the log does.
    """

    checkpoints: pathlib.Path
    history: pathlib.Path
    logs: pathlib.Path
    progress: bool = True
    is_log_loss: bool = False

    @property
    def checkpoint(self) -> pathlib.Path:
        """The one file that holds the state."""
        return self.checkpoints / "checkpoint.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training came to.

    Attributes:
        best_epoch: Epoch whose weights the model now has, counted from 1.
        best_value: Its value of the monitor.
        history: One row for each epoch: epoch, learning_rate, loss, validation_loss, validation_metric.
        seconds: Time in all processes together.
        resumed_from: Complete epochs that this call found; 0 = none.
    """

    best_epoch: int
    best_value: float
    history: list[dict[str, float]]
    seconds: float
    resumed_from: int


def fit(
    model: keras.Model,
    train: datasets.Arrays,
    validation: datasets.Arrays,
    *,
    settings: FitSettings,
    loss: keras.losses.Loss,
    monitor: Monitor,
    outputs: Outputs,
) -> FitResult:
    """Train ``model`` and leave it with its best weights.

    Call it again after a kill, with a model built from the same seed, and it goes on from the last complete
    epoch. A finished training returns at once.

    Args:
        model: Uncompiled, ending in logits, built inside the strategy's scope if there is one.
        train: Rows to learn from.
        validation: Rows that decide when to stop and which weights are best.
        settings: How to train.
        loss: Of (labels, logits).
        monitor: NumPy metric (labels, logits) -> float of all validation rows; the higher the better.
        outputs: Where the checkpoint, the history and the logs go.

    Raises:
        errors.InputError: The checkpoint is broken or belongs to another training.
        errors.FieldnetsError: The loss or the monitor is not finite.
    """
    timers, train, epochs = budgets.begin(
        model,
        train,
        name=outputs.checkpoints.name,
        validation_rows=len(validation),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
    )
    settings = dataclasses.replace(
        settings,
        epochs=epochs,
        steps_per_execution=estimates.steps_at_once(settings.steps_per_execution),
    )
    steps = datasets.steps(len(train), batch_size=settings.batch_size)
    share = workers.share(model, np.diff(datasets.even_splits(len(train), settings.batch_size)))
    _compile(model, settings, loss=loss, steps=steps)
    identity = _identity(settings, train, validation, loss)
    state = workers.load_state(outputs.checkpoint, model=model, identity=identity)
    resumed_from = state.epoch

    def validate() -> dict[str, float]:
        logits = predict(model, validation, batch_size=settings.evaluation_batch_size)
        return {
            # Inside a strategy's scope Keras gives a replica's share of the mean.
            "validation_loss": float(loss(validation.labels, logits)) * runtime.replicas_in_scope(),
            "validation_metric": float(monitor(validation.labels, logits)),
        }

    epoch_end = callbacks.EpochEnd(
        state=state,
        validate=validate,
        epochs=settings.epochs,
        patience=settings.patience,
        checkpoint=outputs.checkpoint,
    )
    history = callbacks.History(state.history, table=outputs.history, logs=outputs.logs)
    bar = callbacks.progress_bar(
        state,
        epochs=settings.epochs,
        steps=steps,
        wanted=outputs.progress,
        is_loss=outputs.is_log_loss,
    )
    with history, bar as listeners:
        if not state.finished:
            batches = batching.training(
                train,
                batch_size=settings.batch_size,
                seed=settings.seed,
                first_epoch=state.epoch,
                epochs=settings.epochs,
                bucket_by_length=settings.bucket_by_length,
                share=share,
            )
            reports = callbacks.Reports(state.history, outputs.checkpoint)
            calls = [*timers, epoch_end, history, reports, *listeners]
            run_epochs(model, batches, first_epoch=state.epoch, epochs=settings.epochs, steps=steps, listeners=calls)
    model.set_weights(state.best_weights)
    return FitResult(
        best_epoch=state.best_epoch,
        best_value=state.best_value,
        history=state.history,
        seconds=state.seconds,
        resumed_from=resumed_from,
    )


def predict(model: keras.Model, source: datasets.Arrays, *, batch_size: int = 256) -> np.ndarray:
    """Return the model's output for every row, in the order of the rows.

    Rows are run through in the order of their length, which spares padding, and put back.
    """
    order = np.arange(len(source)) if source.lengths is None else np.argsort(source.lengths, kind="stable")
    batches = batching.evaluation(source, batch_size=batch_size, order=order)
    with workers.alone(model):
        outputs = np.asarray(model.predict(batches, verbose=0))
    restored = np.empty_like(outputs)
    restored[order] = outputs
    return restored


def seed_of_copy(seed: int, number: int) -> int:
    """Return the seed of the ``number``-th network of a run, counted from 1: the run's own for the first.

    The step is far more than the seeds of neighbouring runs are apart.

    >>> seed_of_copy(5, 1), seed_of_copy(5, 2)
    (5, 1000008)
    """
    return seed + 1_000_003 * (number - 1)


def _compile(model: keras.Model, settings: FitSettings, *, loss: keras.losses.Loss, steps: int) -> None:
    """Give the model its optimizer, with all variables, so that a checkpoint can fill them."""
    with runtime.scope_of(model):
        learning_rate = optimizers.build_schedule(
            settings.schedule,
            peak=settings.learning_rate,
            steps=steps * settings.epochs,
            warmup_fraction=settings.warmup_fraction,
        )
        optimizer = optimizers.build_optimizer(
            settings.optimizer,
            learning_rate=learning_rate,
            weight_decay=settings.weight_decay,
            gradient_clip_norm=settings.gradient_clip_norm,
            ema_momentum=settings.ema_momentum,
            layer_rates=settings.layer_rates,
        )
        model.compile(
            optimizer=optimizer,
            loss=loss,
            # Only TensorFlow is faster without it: JAX would run each operation alone.
            jit_compile=settings.jit_compile if runtime.on_tensorflow() else "auto",
            # Keras' loop over several steps does not take the data of several processes.
            steps_per_execution=1 if workers.several(model) else _greatest_divisor(steps, settings.steps_per_execution),
        )
        model.optimizer.build(model.trainable_variables)


def run_epochs(
    model: keras.Model,
    batches: Any,
    *,
    first_epoch: int,
    epochs: int,
    steps: int,
    listeners: Sequence[keras.callbacks.Callback],
) -> None:
    """Call ``model.fit`` for epochs ``first_epoch`` to ``epochs - 1``.

    Args:
        model: Compiled.
        batches: Of all these epochs, one after another, as `shared.training.batches` gives them.
        first_epoch: Counted from 0.
        epochs: In the whole training.
        steps: Batches in an epoch.
        listeners: Callbacks, called in this order.

    Raises:
        errors.FieldnetsError: The loss of a batch is not finite.
    """
    if runtime.on_tensorflow():
        # Under a strategy Keras would average the replicas' first batches, to learn shapes that are known
        # already. That fails for replicas with different numbers of rows.
        model._maybe_symbolic_build = lambda **_: None
    with workers.together(model):
        model.fit(
            workers.distributed(model, batches),
            initial_epoch=first_epoch,
            epochs=epochs,
            steps_per_epoch=steps,
            callbacks=[callbacks.Divergence(steps=steps), *listeners],
            shuffle=False,
            verbose=0,
        )


def _greatest_divisor(steps: int, limit: int) -> int:
    """Return how many steps to run at once, without a rest: there Keras would read on into the next epoch.

    >>> _greatest_divisor(12, 5), _greatest_divisor(13, 5)
    (4, 1)
    """
    return max(divisor for divisor in range(1, min(limit, steps) + 1) if steps % divisor == 0)


def _identity(
    settings: FitSettings, train: datasets.Arrays, validation: datasets.Arrays, loss: keras.losses.Loss
) -> dict[str, Any]:
    """Return what must not change between a kill and the next call."""
    described = dataclasses.asdict(settings)
    if not settings.layer_rates:
        del described["layer_rates"]  # As checkpoints of earlier versions were described.
    return {
        **described,
        "loss": _described(loss),
        "training data": train.fingerprint(),
        "validation data": validation.fingerprint(),
    }


def _described(loss: keras.losses.Loss) -> dict[str, Any]:
    """Return what a loss is, under the name of its module as installed, which ``python -m apps.NAME`` shortens."""
    content: dict[str, Any] = dict(keras.saving.serialize_keras_object(loss))
    if str(content["module"]).startswith(("apps.", "shared.")):
        content["module"] = f"fieldnets.{content['module']}"
    return content


def expect(name: str, value: object, expected: str, *, valid: bool) -> None:
    """Raise ``errors.InputError`` where a setting is not valid."""
    if not valid:
        raise errors.InputError(f"{name}: expected {expected}. Received: {value!r}")
