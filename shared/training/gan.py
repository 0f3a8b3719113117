"""Train a GAN with what `shared.training.fit` promises: one seed, one set of weights, also after a kill."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import PIL.Image
import tensorflow as tf

from shared import errors, files
from shared.models import wasserstein
from shared.training import batches as batching
from shared.training import budgets, callbacks, datasets, workers
from shared.training import fit as fitting

# (samples (n, ...) float32, labels (n,)) -> a distance from real samples, at least 0; the smaller the better.
Distance = Callable[[np.ndarray, np.ndarray], float]

GRID_COLUMNS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanSettings:
    """How to train a GAN.

    Attributes:
        epochs: Most passes over the training rows.
        batch_size: Rows in one update of the critic.
        critic_steps: Updates of the critic for one of the generator.
        learning_rate: Of both networks, constant. On the two Gaussians of the tests six trainings along a cosine to 0
            ended 1.1 to 43 times as far off as their best epoch; the one tried with a constant rate ended at its best.
        penalty_weight: Weight of the gradient penalty.
        ema_momentum: Of the average of the generator's weights, in (0, 1).
        patience: Epochs without a smaller distance after which to stop; 0 = never.
        seed: Of the order of the rows and of the noise.

    Raises:
        errors.InputError: A value is out of its range.
    """

    epochs: int = 20
    batch_size: int = 32
    critic_steps: int = 1
    learning_rate: float = 5e-4
    penalty_weight: float = 10.0
    ema_momentum: float = 0.995
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with."""
        for name, least in (("epochs", 1), ("batch_size", 1), ("critic_steps", 1), ("patience", 0), ("seed", 0)):
            fitting.expect(name, getattr(self, name), f"at least {least}", valid=getattr(self, name) >= least)
        for name in ("learning_rate", "penalty_weight"):
            fitting.expect(name, getattr(self, name), "more than 0", valid=getattr(self, name) > 0)
        fitting.expect("ema_momentum", self.ema_momentum, "in (0, 1)", valid=0 < self.ema_momentum < 1)

    @property
    def rows_per_step(self) -> int:
        """Rows of a whole step: each update of the critic sees its own."""
        return self.batch_size * self.critic_steps


def fit(
    generator: keras.Model,
    critic: keras.Model,
    train: datasets.Arrays,
    *,
    settings: GanSettings,
    distance: Distance,
    outputs: fitting.Outputs,
) -> fitting.FitResult:
    """Train the two networks and leave ``generator`` with the averaged weights of its best epoch.

    Call it again after a kill, with networks built from the same seed, and it goes on from the last complete epoch. A
    finished training returns at once.

    Args:
        generator: {noise, label} -> samples; see `gan.build_generator`. Built, like the critic, in `workers.apart()`.
        critic: {sample, label} -> (batch, 1); see `gan.build_critic`.
        train: One input of float32 samples (or made so by ``augment``), scaled as the generator draws; labels (n,) int.
        settings: How to train.
        distance: Values every epoch on as many samples as there are training rows, with their labels. For the
            training to go on after a kill as before it, it must be a pure function.
        outputs: Where the checkpoint, the history and the logs go; pictures too, in ``logs``.

    Returns:
        With ``best_value`` minus the smallest distance. The history has the columns epoch, learning_rate, loss (the
        critic's), validation_metric (minus the distance), wasserstein, gradient_norm, generator_loss.

    Raises:
        errors.InputError: The checkpoint is broken or belongs to another training, or the rows are fewer than
            the parts of one step.
        errors.FieldnetsError: A loss or the distance is not finite.
    """
    if len(train) < settings.critic_steps:
        raise errors.InputError(f"GAN: expected at least {settings.critic_steps} training rows. Received: {len(train)}")
    timers, train, epochs = budgets.begin(
        generator,
        train,
        name=outputs.checkpoints.name,
        validation_rows=len(train),
        epochs=settings.epochs,
        batch_size=settings.rows_per_step,
    )
    settings = dataclasses.replace(settings, epochs=epochs)
    model = _compiled(generator, critic, settings)
    state = workers.load_state(outputs.checkpoint, model=model, identity=_identity(settings, train))
    resumed_from = state.epoch
    validate = _validate(model, train.labels, distance, seed=settings.seed)
    epoch_end = callbacks.EpochEnd(
        state=state,
        validate=validate,
        epochs=settings.epochs,
        patience=settings.patience,
        checkpoint=outputs.checkpoint,
    )
    steps = datasets.steps(len(train), batch_size=settings.rows_per_step)
    history = callbacks.History(state.history, table=outputs.history, logs=outputs.logs)
    pictures = Pictures(model, classes=np.unique(train.labels), folder=outputs.logs / "samples", epochs=state.epoch)
    bar = callbacks.progress_bar(state, epochs=settings.epochs, steps=steps, wanted=outputs.progress)
    with history, pictures, bar as listeners:
        if not state.finished:
            # Pictures first: what is in the checkpoint has its picture, whenever the process is killed.
            batches = batching.training(
                train,
                batch_size=settings.rows_per_step,
                seed=settings.seed,
                first_epoch=state.epoch,
                epochs=settings.epochs,
            )
            calls = [*timers, pictures, epoch_end, history, *listeners]
            fitting.run_epochs(
                model, batches, first_epoch=state.epoch, epochs=settings.epochs, steps=steps, listeners=calls
            )
    model.set_weights(state.best_weights)
    generator.set_weights(model.average.get_weights())
    return fitting.FitResult(
        best_epoch=state.best_epoch,
        best_value=state.best_value,
        history=state.history,
        seconds=state.seconds,
        resumed_from=resumed_from,
    )


def generate(
    generator: keras.Model, labels: npt.NDArray[np.integer[Any]], *, seed: int, batch_size: int = 256
) -> npt.NDArray[np.float32]:
    """Draw one sample of each given class, (n, ...) float32; a pure function of weights, labels and seed."""
    latent_size = generator.input["noise"].shape[1]
    noise = np.random.default_rng(seed).normal(size=(len(labels), latent_size)).astype(np.float32)
    drawn = generator.predict({"noise": noise, "label": labels.astype(np.int32)}, batch_size=batch_size, verbose=0)
    return np.asarray(drawn, np.float32)


def to_pixels(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return images of [-1, 1] as uint8.

    >>> to_pixels(np.array([-1.0, 0.0, 1.0], np.float32)).tolist()
    [0, 128, 255]
    """
    return np.asarray(np.clip(np.rint((samples + 1) * 127.5), 0, 255), np.uint8)


def from_pixels(inputs: dict[str, Any], labels: Any, seeds: Any) -> tuple[dict[str, Any], Any]:  # noqa: ARG001
    """Scale a batch of uint8 images to [-1, 1] float32: the ``augment`` of arrays that stay uint8 in memory."""
    return {name: tf.cast(pixels, tf.float32) / 127.5 - 1 for name, pixels in inputs.items()}, labels


class Pictures(keras.callbacks.Callback):  # type: ignore[misc]
    """After every epoch a picture: a row per class, a column per noise vector, the same in all epochs.

    A PNG each, which TensorBoard's events are made from anew when a training goes on. Nothing for a generator of
    anything but images.
    """

    def __init__(
        self, model: wasserstein.WassersteinGan, *, classes: np.ndarray, folder: pathlib.Path, epochs: int
    ) -> None:
        """Take the model and the number of complete epochs."""
        super().__init__()
        self._generator = model.average
        self._classes = classes
        self._folder = folder
        self._epochs = epochs
        self._writer: Any = None

    def __enter__(self) -> "Pictures":
        """Show the pictures of earlier processes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in (*self._folder.glob("events.out.tfevents.*"), *self._folder.glob(".epoch_*.png")):
            leftover.unlink()
        self._writer = tf.summary.create_file_writer(str(self._folder))
        for epoch in range(1, self._epochs + 1):
            if self._path(epoch).exists():
                self._show(epoch, np.asarray(PIL.Image.open(self._path(epoch))))
        return self

    def __exit__(self, *_: object) -> None:
        """Close the event file."""
        self._writer.close()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Draw."""
        if len(self._generator.output.shape) != 4:
            return
        picture = sample_grid(self._generator, self._classes)
        with files.atomic(self._path(epoch + 1)) as temporary:
            PIL.Image.fromarray(picture).save(temporary)
        self._show(epoch + 1, picture)

    def _path(self, epoch: int) -> pathlib.Path:
        return self._folder / f"epoch_{epoch:04d}.png"

    def _show(self, epoch: int, picture: np.ndarray) -> None:
        with self._writer.as_default(step=epoch):
            tf.summary.image("samples", np.atleast_3d(picture)[np.newaxis])
        self._writer.flush()


def sample_grid(generator: keras.Model, classes: np.ndarray, *, columns: int = GRID_COLUMNS) -> np.ndarray:
    """Return (classes x height, columns x width[, 3]) uint8: a row per class, one noise vector per column."""
    rows = [to_pixels(generate(generator, np.full(columns, label), seed=0)) for label in classes]
    grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
    return grid[..., 0] if grid.shape[-1] == 1 else grid


def _compiled(generator: keras.Model, critic: keras.Model, settings: GanSettings) -> wasserstein.WassersteinGan:
    model = wasserstein.WassersteinGan(
        generator,
        critic,
        critic_steps=settings.critic_steps,
        penalty_weight=settings.penalty_weight,
        ema_momentum=settings.ema_momentum,
        seed=settings.seed,
    )
    # Without momentum of the gradient, which would push one network where the other was.
    optimizer, critic_optimizer = (
        keras.optimizers.Adam(settings.learning_rate, beta_1=0.0, beta_2=0.9) for _ in range(2)
    )
    model.compile(optimizer=optimizer, critic_optimizer=critic_optimizer)
    return model


def _validate(
    model: wasserstein.WassersteinGan, labels: np.ndarray, distance: Distance, *, seed: int
) -> callbacks.Validate:
    def validate() -> dict[str, float]:
        samples = generate(model.average, labels, seed=seed)
        measured = {metric.name: float(metric.result()) for metric in model.metrics if metric.name != "loss"}
        return {"validation_metric": -float(distance(samples, labels)), **measured}

    return validate


def _identity(settings: GanSettings, train: datasets.Arrays) -> dict[str, Any]:
    """Return what must not change between a kill and the next call."""
    return {**dataclasses.asdict(settings), "training data": train.fingerprint()}
