"""The GAN's parts against formulas written out, and its training against itself, interrupted."""

import pathlib
from collections.abc import Callable
from typing import Any

import hypothesis
import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from tensorboard.backend.event_processing import event_accumulator

from shared import errors
from shared.models import gan, wasserstein
from shared.training import datasets, runtime
from shared.training import fit as fitting
from shared.training import gan as gan_training

pytestmark = pytest.mark.tensorflow

CLASSES, LATENT = 2, 4
CENTRES = np.array([[-2.0, 0.5], [1.0, 2.0]])
SPREADS = np.array([[0.5, 1.0], [1.0, 0.25]])


class StoppedError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    runtime.configure(seed=0)


def points(rows: int, *, seed: int = 0) -> datasets.Arrays:
    """Rows of two Gaussians, one per class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, rows)
    samples = CENTRES[labels] + SPREADS[labels] * generator.normal(size=(rows, 2))
    return datasets.Arrays(inputs={"sample": samples.astype(np.float32)}, labels=labels)


def networks(units: int = 32) -> tuple[keras.Model, keras.Model]:
    """A generator and a critic of vectors."""
    keras.utils.set_random_seed(3)
    noise, label = keras.Input((LATENT,), name="noise"), keras.Input((), dtype="int32", name="label")
    x = keras.layers.Concatenate()([noise, keras.layers.Embedding(CLASSES, LATENT)(label)])
    x = keras.layers.Dense(units, activation="leaky_relu")(x)
    generator = keras.Model({"noise": noise, "label": label}, keras.layers.Dense(2)(x))
    sample, label = keras.Input((2,), name="sample"), keras.Input((), dtype="int32", name="label")
    x = keras.layers.Dense(units, activation="leaky_relu")(sample)
    x = keras.layers.Dense(units, activation="leaky_relu")(x)
    return generator, keras.Model({"sample": sample, "label": label}, gan.project(x, label, classes=CLASSES))


def pictures(rows: int = 12) -> datasets.Arrays:
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % CLASSES
    pixels = generator.integers(0, 100, (rows, 8, 8, 1)) + 150 * labels[:, None, None, None]
    return datasets.Arrays(inputs={"sample": pixels.astype(np.uint8)}, labels=labels, augment=gan_training.from_pixels)


def image_networks() -> tuple[keras.Model, keras.Model]:
    keras.utils.set_random_seed(3)
    sizes: dict[str, Any] = {"image_shape": (8, 8, 1), "classes": CLASSES, "filters": 2, "most_filters": 4}
    return gan.build_generator(latent_size=LATENT, **sizes), gan.build_critic(**sizes)


def mean_error(samples: np.ndarray, labels: np.ndarray) -> float:
    return float(np.abs(samples.mean(axis=0)).sum() + labels.mean())


def interrupted(after: int) -> gan_training.Distance:
    """Return a distance that ends the process while it judges epoch ``after + 1`` of this call."""
    calls = iter(range(after))

    def distance(samples: np.ndarray, labels: np.ndarray) -> float:
        if next(calls, None) is None:
            raise StoppedError
        return mean_error(samples, labels)

    return distance


Fit = Callable[..., tuple[keras.Model, fitting.FitResult]]


@pytest.fixture
def fit(tmp_path: pathlib.Path) -> Fit:
    """A function that trains with few words and returns the generator."""

    def run(
        folder: str = "run",
        *,
        train: datasets.Arrays | None = None,
        pair: tuple[keras.Model, keras.Model] | None = None,
        distance: gan_training.Distance = mean_error,
        **settings: Any,
    ) -> tuple[keras.Model, fitting.FitResult]:
        path = tmp_path / folder
        generator, critic = pair or networks(8)
        result = gan_training.fit(
            generator,
            critic,
            train or points(40),
            settings=gan_training.GanSettings(**{"epochs": 4, "batch_size": 8, "critic_steps": 1, **settings}),
            distance=distance,
            outputs=fitting.Outputs(
                checkpoints=path / "checkpoints", history=path / "history.csv", logs=path / "logs", progress=False
            ),
        )
        return generator, result

    return run


def same(one: keras.Model, other: keras.Model) -> bool:
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def test_two_gaussians_are_learned_each_under_its_class(fit: Fit) -> None:
    def distance(samples: np.ndarray, labels: np.ndarray) -> float:
        return float(
            sum(
                np.square(samples[labels == kind].mean(axis=0) - CENTRES[kind]).sum()
                + np.square(samples[labels == kind].std(axis=0) - SPREADS[kind]).sum()
                for kind in range(CLASSES)
            )
        )

    generator, result = fit(
        train=points(4096),
        pair=networks(),
        distance=distance,
        epochs=6,
        batch_size=32,
        critic_steps=2,
        learning_rate=0.005,
        penalty_weight=1.0,
        ema_momentum=0.99,
    )
    labels = np.repeat(np.arange(CLASSES), 2000)
    samples = gan_training.generate(generator, labels, seed=77)
    for kind in range(CLASSES):
        drawn = samples[labels == kind]
        np.testing.assert_allclose(drawn.mean(axis=0), CENTRES[kind], atol=0.2)
        np.testing.assert_allclose(drawn.std(axis=0), SPREADS[kind], rtol=0.35)
    assert -result.best_value < 0.2
    # At the optimum the gradient has norm 1.
    assert result.history[-1]["gradient_norm"] == pytest.approx(1, abs=0.3)


@hypothesis.given(st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3), st.integers(0, 100))
def test_the_penalty_of_a_linear_critic_is_that_of_the_length_of_its_weights(weights: list[float], seed: int) -> None:
    samples = tf.constant(np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32))
    kernel = tf.constant(np.array(weights, np.float32)[:, None])
    penalty, norm = wasserstein.gradient_penalty(lambda x: x @ kernel, samples)
    length = np.linalg.norm(weights)
    assert float(norm) == pytest.approx(length, rel=1e-4, abs=2e-6)
    assert float(penalty) == pytest.approx((length - 1) ** 2, rel=1e-4, abs=1e-5)


def test_the_penalty_is_of_each_image_by_itself() -> None:
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype(np.float32)
    penalty, norm = wasserstein.gradient_penalty(
        # Half the squared length: its gradient is the image.
        lambda x: tf.reduce_sum(x**2, axis=[1, 2, 3])[:, None] / 2,
        tf.constant(images),
    )
    lengths = np.linalg.norm(images.reshape(6, -1), axis=1)
    assert float(norm) == pytest.approx(lengths.mean(), rel=1e-5)
    assert float(penalty) == pytest.approx(np.square(lengths - 1).mean(), rel=1e-5)


def test_the_penalty_of_the_image_critic_and_its_slope_are_those_of_finite_differences() -> None:
    _, critic = image_networks()
    images = np.random.default_rng(1).uniform(-1, 1, (2, 8, 8, 1))
    labels = tf.constant([0, 1])
    kernel = next(weight for weight in critic.trainable_variables if "convolution" in weight.path)

    def score(x: Any) -> Any:
        return critic({"sample": tf.convert_to_tensor(x), "label": labels})

    def penalty() -> float:
        return float(wasserstein.gradient_penalty(score, tf.constant(images, tf.float32))[0])

    step = 1e-2
    slopes = np.zeros((2, 64))
    for pixel in range(64):
        change = np.zeros(64)
        change[pixel] = step
        up, down = (
            np.asarray(score((images + sign * change.reshape(8, 8, 1)).astype(np.float32)))[:, 0] for sign in (1, -1)
        )
        slopes[:, pixel] = (up - down) / (2 * step)
    assert penalty() == pytest.approx(np.square(np.linalg.norm(slopes, axis=1) - 1).mean(), rel=0.02)

    with tf.GradientTape() as tape:
        value, _ = wasserstein.gradient_penalty(score, tf.constant(images, tf.float32))
    slope = np.asarray(tape.gradient(value, kernel.value))
    start, place = np.array(kernel), np.unravel_index(np.abs(slope).argmax(), slope.shape)
    ends = []
    for sign in (1, -1):
        moved = start.copy()
        moved[place] += sign * 1e-3
        kernel.assign(moved)
        ends.append(penalty())
    assert (ends[0] - ends[1]) / 2e-3 == pytest.approx(slope[place], rel=0.02)


def compiled(critic_steps: int = 1, **options: Any) -> wasserstein.WassersteinGan:
    model = wasserstein.WassersteinGan(*networks(8), critic_steps=critic_steps, **options)
    model.compile(optimizer=keras.optimizers.Adam(0.01), critic_optimizer=keras.optimizers.Adam(0.01))
    return model


def test_the_average_is_that_of_the_iterates_and_forgets_the_start_quickly() -> None:
    model = compiled(ema_momentum=0.15)
    average = model.generator.get_weights()
    batch = points(16)
    for step in range(1, 6):
        model.train_step((tf.constant(batch.inputs["sample"]), tf.constant(batch.labels)))
        momentum = min(0.15, (1 + step) / (10 + step))
        iterate = model.generator.get_weights()
        average = [momentum * old + (1 - momentum) * new for old, new in zip(average, iterate, strict=True)]
    for ours, wanted in zip(model.average.get_weights(), average, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-7)
    assert not np.allclose(ours, iterate[-1])


def test_every_part_of_a_batch_trains_the_critic_once_and_no_row_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled(critic_steps=3)
    seen: list[np.ndarray] = []
    train = model._train_critic

    def noted(real: Any, labels: Any) -> Any:
        seen.append(np.array(real))
        return train(real, labels)

    monkeypatch.setattr(model, "_train_critic", noted)
    batch = points(11)
    model.train_step((tf.constant(batch.inputs["sample"]), tf.constant(batch.labels)))
    assert [len(part) for part in seen] == [3, 4, 4]
    np.testing.assert_array_equal(np.concatenate(seen), batch.inputs["sample"])
    assert (int(model.critic_optimizer.iterations), int(model.optimizer.iterations)) == (3, 1)


def test_each_network_learns_against_the_other_and_only_in_its_own_step() -> None:
    model = compiled()
    batch = points(16)
    samples, labels = tf.constant(batch.inputs["sample"]), tf.constant(batch.labels)
    generator, critic = model.generator.get_weights(), model.critic.get_weights()
    model._train_critic(samples, labels)
    assert all(map(np.array_equal, generator, model.generator.get_weights()))
    assert not all(map(np.array_equal, critic, model.critic.get_weights()))
    critic = model.critic.get_weights()
    model._train_generator(labels)
    assert all(map(np.array_equal, critic, model.critic.get_weights()))
    assert not all(map(np.array_equal, generator, model.generator.get_weights()))


@pytest.mark.parametrize(
    ("train", "make"),
    [(points(40), networks), pytest.param(pictures(), image_networks, marks=pytest.mark.slow)],
)
def test_a_training_that_is_interrupted_again_and_again_ends_with_the_same_bits(
    fit: Fit, tmp_path: pathlib.Path, train: datasets.Arrays, make: Callable[[], Any]
) -> None:
    whole, _ = fit("whole", train=train, pair=make())
    for after in (2, 0):
        with pytest.raises(StoppedError):
            fit("parts", train=train, pair=make(), distance=interrupted(after))
    parts, result = fit("parts", train=train, pair=make())
    assert result.resumed_from == 2
    assert same(whole, parts)
    assert not same(whole, fit("other", train=train, pair=make(), seed=1, epochs=1)[0])
    with (
        np.load(tmp_path / "whole/checkpoints/checkpoint.npz") as ours,
        np.load(tmp_path / "parts/checkpoints/checkpoint.npz") as theirs,
    ):
        for name in set(ours.files) - {"state"}:
            np.testing.assert_array_equal(ours[name], theirs[name], strict=True)
    for path in ("history.csv", *(f"logs/samples/epoch_{epoch:04d}.png" for epoch in range(1, 5))):
        if train.augment or "png" not in path:
            assert (tmp_path / "parts" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


def test_the_checkpoint_holds_both_optimizers_the_noise_and_the_average() -> None:
    model = compiled()
    batch = points(16)
    model.train_step((tf.constant(batch.inputs["sample"]), tf.constant(batch.labels)))
    held = {id(variable) for variable in (*model.variables, *model.optimizer.variables)}
    wanted = [
        *model.generator.variables,
        *model.critic.variables,
        *model.average.variables,
        *model.optimizer.variables,
        *model.critic_optimizer.variables,
        model._noise.state,
    ]
    assert {id(variable) for variable in wanted} == held
    assert len(model.critic_optimizer.variables) > len(model.critic.trainable_variables)


def test_the_epoch_with_the_smallest_distance_is_kept_and_patience_ends_the_training(fit: Fit) -> None:
    script, drawn = iter([3.0, 1.0, 2.0, 4.0]), []

    def distance(samples: np.ndarray, labels: np.ndarray) -> float:  # noqa: ARG001
        drawn.append(samples)
        return next(script)

    generator, result = fit(distance=distance, epochs=9, patience=2)
    assert (result.best_epoch, result.best_value, len(result.history)) == (2, -1.0, 4)
    again = gan_training.generate(generator, points(40).labels, seed=0)
    np.testing.assert_array_equal(again, drawn[1])


def test_tensorboard_shows_one_picture_per_epoch_after_an_interruption(fit: Fit, tmp_path: pathlib.Path) -> None:
    with pytest.raises(StoppedError):
        fit(train=pictures(), pair=image_networks(), distance=interrupted(2))
    fit(train=pictures(), pair=image_networks())
    folder = tmp_path / "run/logs/samples"
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    assert [event.step for event in events.Tensors("samples")] == [1, 2, 3, 4]
    with PIL.Image.open(folder / "epoch_0004.png") as picture:
        assert picture.size == (8 * gan_training.GRID_COLUMNS, 8 * CLASSES)


def test_vectors_have_no_pictures(fit: Fit, tmp_path: pathlib.Path) -> None:
    fit(epochs=1)
    assert not list((tmp_path / "run/logs/samples").glob("*.png"))


def test_another_training_may_not_go_on_from_this_checkpoint(fit: Fit) -> None:
    fit(epochs=1)
    with pytest.raises(errors.InputError, match=r"penalty_weight = 10\.0"):
        fit(epochs=1, penalty_weight=5.0)
    with pytest.raises(errors.InputError, match="training data = "):
        fit(epochs=1, train=points(40, seed=1))


def test_a_drawing_depends_on_seed_and_label_and_not_on_the_batch() -> None:
    generator, _ = image_networks()
    labels = np.arange(7) % CLASSES
    whole = gan_training.generate(generator, labels, seed=5)
    np.testing.assert_allclose(gan_training.generate(generator, labels, seed=5, batch_size=2), whole, atol=1e-6)
    assert not np.allclose(gan_training.generate(generator, labels, seed=6), whole, atol=1e-3)
    assert not np.allclose(gan_training.generate(generator, 1 - labels, seed=5), whole, atol=1e-3)


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (64, 64, 1), (48, 48, 3)])
def test_the_networks_fit_images_of_usual_sizes(image_shape: tuple[int, int, int]) -> None:
    generator = gan.build_generator(image_shape=image_shape, classes=3, filters=2, most_filters=4)
    critic = gan.build_critic(image_shape=image_shape, classes=3, filters=2, most_filters=4)
    labels = np.array([0, 1, 2])
    images = gan_training.generate(generator, labels, seed=0)
    assert images.shape == (3, *image_shape)
    assert np.abs(images).max() <= 1
    scores = np.asarray(critic({"sample": images, "label": labels}))
    alone = np.asarray(critic({"sample": images[1:2], "label": labels[1:2]}))
    np.testing.assert_allclose(scores[1:2], alone, rtol=1e-4, atol=1e-6)
    assert scores.shape == (3, 1)


def test_pixels_survive_their_scaling() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled, _ = gan_training.from_pixels({"sample": pixels}, None, None)
    assert (float(np.min(scaled["sample"])), float(np.max(scaled["sample"]))) == (-1, 1)
    np.testing.assert_array_equal(gan_training.to_pixels(np.asarray(scaled["sample"])), pixels)


@pytest.mark.parametrize("image_shape", [(30, 30, 1), (64, 32, 1), (4, 4, 1), (64, 64)])
def test_a_shape_that_cannot_be_halved_is_refused(image_shape: Any) -> None:
    for build in (gan.build_generator, gan.build_critic):
        with pytest.raises(ValueError, match="Expected image_shape"):
            build(image_shape=image_shape, classes=2)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 0}, {"critic_steps": 0}, {"learning_rate": 0}, {"ema_momentum": 1.0}, {"seed": -1}],
)
def test_a_setting_out_of_range_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError, match=f"{next(iter(wrong))}: expected .* Received: "):
        gan_training.GanSettings(**wrong)


def test_fewer_rows_than_parts_of_a_step_are_refused(fit: Fit) -> None:
    with pytest.raises(errors.InputError, match=r"at least 5 training rows\. Received: 3"):
        fit(train=points(3), critic_steps=5)
