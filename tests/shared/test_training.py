"""Tests of training inside one process; `test_training_killed` has those that kill."""

import io
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from shared import errors
from shared.models import losses
from shared.training import callbacks, checkpoints, datasets, optimizers, runtime
from shared.training import fit as fitting

pytestmark = pytest.mark.tensorflow

FEATURES = 4
Fit = Callable[..., tuple[keras.Model, fitting.FitResult]]


class StoppedError(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    runtime.configure(seed=0)


def examples(rows: int, *, seed: int, weights: np.ndarray | None = None) -> datasets.Arrays:
    generator = np.random.default_rng(seed)
    columns = generator.normal(size=(rows, FEATURES)).astype(np.float32)
    labels = (columns.sum(axis=1) + generator.normal(size=rows) > 0).astype(np.int64)
    return datasets.Arrays(inputs={"columns": columns}, labels=labels, weights=weights)


TRAIN, VALIDATION = examples(70, seed=1), examples(30, seed=2)


def network() -> keras.Model:
    """A network with every kind of state: weights, BatchNorm's statistics, Dropout's seed."""
    keras.utils.set_random_seed(9)
    columns = keras.Input((FEATURES,), name="columns")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(columns)
    hidden = keras.layers.BatchNormalization(name="normalization")(hidden)
    hidden = keras.layers.Dropout(0.5, name="dropout")(hidden)
    return keras.Model(columns, keras.layers.Dense(2, name="logits")(hidden))


def accuracy(labels: np.ndarray, logits: np.ndarray) -> float:
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def interrupted(after: int, monitor: fitting.Monitor = accuracy) -> fitting.Monitor:
    """Return a monitor that ends the process while it judges epoch ``after + 1`` of this call."""
    calls = iter(range(after))

    def judge(labels: np.ndarray, logits: np.ndarray) -> float:
        if next(calls, None) is None:
            raise StoppedError
        return monitor(labels, logits)

    return judge


def scripted(values: list[float]) -> fitting.Monitor:
    left = iter(values)
    return lambda labels, logits: next(left)  # noqa: ARG005


def outputs(folder: pathlib.Path, *, progress: bool = False, is_log_loss: bool = False) -> fitting.Outputs:
    return fitting.Outputs(
        checkpoints=folder / "checkpoints",
        history=folder / "history.csv",
        logs=folder / "logs",
        progress=progress,
        is_log_loss=is_log_loss,
    )


@pytest.fixture
def fit(tmp_path: pathlib.Path) -> Fit:
    """A function that trains with few words."""

    def run(
        folder: str = "run",
        *,
        monitor: fitting.Monitor = accuracy,
        train: datasets.Arrays = TRAIN,
        model: keras.Model | None = None,
        loss: keras.losses.Loss | None = None,
        progress: bool = False,
        is_log_loss: bool = False,
        **settings: Any,
    ) -> tuple[keras.Model, fitting.FitResult]:
        model = model or network()
        result = fitting.fit(
            model,
            train,
            VALIDATION,
            settings=fitting.FitSettings(**{"epochs": 5, "batch_size": 16, "patience": 0, **settings}),
            loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            monitor=monitor,
            outputs=outputs(tmp_path / folder, progress=progress, is_log_loss=is_log_loss),
        )
        return model, result

    return run


def same(one: keras.Model, other: keras.Model) -> bool:
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def test_one_seed_gives_one_set_of_weights_and_another_seed_another(fit: Fit) -> None:
    first, _ = fit("first")
    again, _ = fit("again")
    other, _ = fit("other", seed=1)
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "ema_momentum": 0.9, "gradient_clip_norm": 0.5},
        {"optimizer": "momentum", "schedule": "one_cycle"},
        pytest.param(
            {"optimizer": "sgd", "schedule": "cosine", "warmup_fraction": 0.2, "batch_size": 1},
            marks=pytest.mark.slow,
        ),
        pytest.param({"optimizer": "adam", "batch_size": "all"}, marks=pytest.mark.slow),
    ],
)
def test_a_training_that_is_interrupted_again_and_again_ends_with_the_same_bits(
    fit: Fit, tmp_path: pathlib.Path, settings: dict[str, Any]
) -> None:
    whole, _ = fit("whole", **settings)
    for after in (0, 2, 1):
        with pytest.raises(StoppedError):
            fit("parts", monitor=interrupted(after), **settings)
    parts, result = fit("parts", **settings)
    assert result.resumed_from == 3
    assert same(whole, parts)
    assert (tmp_path / "parts/history.csv").read_bytes() == (tmp_path / "whole/history.csv").read_bytes()
    assert len((tmp_path / "parts/history.csv").read_text().splitlines()) == 6


def test_everything_that_a_step_changes_comes_back(fit: Fit) -> None:
    whole, _ = fit("whole", ema_momentum=0.9)
    with pytest.raises(StoppedError):
        fit("parts", ema_momentum=0.9, monitor=interrupted(2))
    parts, _ = fit("parts", ema_momentum=0.9)
    # All that needs to come back is in this network; nothing here can pass by being absent.
    for kind in ("seed", "moving_variance", "kernel"):
        assert any(kind in variable.path for variable in whole.variables), kind
    assert int(parts.optimizer.iterations) == 5 * 5
    for ours, theirs in zip(parts.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(parts.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_checkpoint_that_fails_half_written_leaves_the_last_one(
    fit: Fit, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = fit("whole")
    save, calls = np.savez, iter([True, True, False])

    def half(path: pathlib.Path, **arrays: Any) -> None:
        if next(calls):
            return save(path, **arrays)
        path.write_bytes(b"PK half a file")
        raise StoppedError

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(StoppedError):
        fit("parts")
    monkeypatch.undo()
    # What a killed process leaves, which had no time to tidy up.
    (tmp_path / "parts/checkpoints/.checkpoint-abc.npz").write_bytes(b"PK half a file")
    parts, result = fit("parts")
    assert result.resumed_from == 2
    assert same(whole, parts)
    kept = {path.name for path in (tmp_path / "parts/checkpoints").iterdir()}
    assert kept == {"checkpoint.npz", "checkpoint-before.npz"}


def test_a_finished_training_returns_its_best_weights_without_another_step(fit: Fit) -> None:
    first, result = fit()
    again, found = fit(monitor=interrupted(0))
    assert same(first, again)
    assert found.resumed_from == 5
    assert (found.best_epoch, found.history) == (result.best_epoch, result.history)


def test_the_domain_metric_decides_when_to_stop_and_which_weights_are_kept(fit: Fit) -> None:
    model, seen = network(), []

    def monitor(labels: np.ndarray, logits: np.ndarray) -> float:  # noqa: ARG001
        seen.append(model.get_weights())
        return [0.1, 0.9, 0.3, 0.9, 0.8, 1.0][len(seen) - 1]

    _, result = fit(model=model, monitor=monitor, epochs=6, patience=2)
    assert (result.best_epoch, result.best_value, len(result.history)) == (2, 0.9, 4)
    assert all(map(np.array_equal, model.get_weights(), seen[1]))


def test_the_decision_to_stop_survives_an_interruption(fit: Fit) -> None:
    with pytest.raises(StoppedError):
        fit(monitor=interrupted(2, scripted([0.9, 0.3])), epochs=9, patience=2)
    _, result = fit(monitor=scripted([0.4]), epochs=9, patience=2)
    assert (result.resumed_from, len(result.history), result.best_epoch) == (2, 3, 1)


def linear() -> keras.Model:
    columns = keras.Input((FEATURES,), name="columns")
    return keras.Model(
        columns,
        keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="logits")(columns),
    )


def descend(weights: np.ndarray, *, steps: int) -> list[np.ndarray]:
    """Full-batch gradient descent on the weighted squared error, written out; every iterate."""
    columns, labels = np.asarray(TRAIN.inputs["columns"], float), TRAIN.labels[:, None]
    kernels = [np.zeros((FEATURES, 1))]
    for _ in range(steps):
        residual = (columns @ kernels[-1] - labels) * weights[:, None]
        kernels.append(kernels[-1] - 0.1 * 2 * columns.T @ residual / len(labels))
    return kernels[1:]


def squares(fit: Fit, **settings: Any) -> np.ndarray:
    always_better = scripted([1, 2, 3, 4, 5])
    model, _ = fit(
        model=linear(),
        monitor=always_better,
        loss=keras.losses.MeanSquaredError(),
        batch_size="all",
        optimizer="sgd",
        **{"learning_rate": 0.1, **settings},
    )
    kernel: np.ndarray = model.get_weights()[0]
    return kernel


def column_labels(weights: np.ndarray) -> datasets.Arrays:
    return datasets.Arrays(inputs=TRAIN.inputs, labels=TRAIN.labels[:, None], weights=weights)


def test_full_batch_gradient_descent_with_row_weights_is_the_textbook_one(fit: Fit) -> None:
    weights = np.linspace(0, 2, len(TRAIN)).astype(np.float32)
    kernel = squares(fit, train=column_labels(weights))
    np.testing.assert_allclose(kernel, descend(weights, steps=5)[-1], rtol=1e-4)


def test_the_kept_average_is_that_of_the_iterates(fit: Fit) -> None:
    kernel = squares(fit, train=column_labels(np.ones(70, np.float32)), ema_momentum=0.6)
    iterates = descend(np.ones(70), steps=5)
    average = iterates[0]
    for iterate in iterates[1:]:
        average = 0.6 * average + 0.4 * iterate
    np.testing.assert_allclose(kernel, average, rtol=1e-4)
    assert not np.allclose(kernel, iterates[-1], rtol=1e-2)


def test_a_clipped_step_has_the_asked_length(fit: Fit) -> None:
    kernel = squares(
        fit,
        train=column_labels(np.ones(70, np.float32)),
        epochs=1,
        learning_rate=1.0,
        gradient_clip_norm=0.01,
    )
    assert np.linalg.norm(kernel) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "warmup_fraction", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1]),
        ("constant", 0.2, [0, 0.5, 1, 1]),
        ("cosine", 0.0, [1, (1 + np.cos(0.1 * np.pi)) / 2, (1 + np.cos(0.3 * np.pi)) / 2, 0]),
        ("cosine", 0.2, [0, 0.5, (1 + np.cos(np.pi / 8)) / 2, 0]),
        ("one_cycle", 0.0, [0.04, 0.04 + 0.96 / 3, 1, 1e-4]),
    ],
)
def test_a_schedule_passes_through_the_values_of_its_formula(
    name: str, warmup_fraction: float, expected: list[float]
) -> None:
    schedule = optimizers.build_schedule(name, peak=2.0, steps=10, warmup_fraction=warmup_fraction)
    rates = [float(schedule(step)) if callable(schedule) else schedule for step in (0, 1, 3, 10)]
    np.testing.assert_allclose(rates, 2 * np.array(expected), atol=1e-6)


def test_weight_decay_spares_biases_and_normalization() -> None:
    model = network()
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    optimizer = optimizers.build_optimizer("adamw", learning_rate=0.1, weight_decay=0.5)
    optimizer.build(model.trainable_variables)
    optimizer.apply([np.zeros(variable.shape, np.float32) for variable in model.trainable_variables])
    for variable in model.trainable_variables:
        expected = 0.95 if "kernel" in variable.path else 1.0
        np.testing.assert_allclose(variable, expected, err_msg=variable.path)


@pytest.mark.parametrize("steps_per_execution", [4, 64])
def test_running_several_steps_at_once_changes_no_bit(fit: Fit, steps_per_execution: int) -> None:
    one, _ = fit("one", batch_size=7)
    several, _ = fit("several", batch_size=7, steps_per_execution=steps_per_execution)
    assert same(one, several)


def test_predictions_come_in_the_order_of_the_rows() -> None:
    lengths = np.random.default_rng(0).permutation(40) + 1
    source = datasets.Arrays(
        inputs={"tokens": datasets.Ragged.from_rows([np.ones(length, np.float32) for length in lengths])},
        labels=np.zeros(40),
    )
    tokens = keras.Input((None,), name="tokens")
    model = keras.Model(tokens, keras.layers.Lambda(lambda row: keras.ops.sum(row, 1))(tokens))
    np.testing.assert_array_equal(fitting.predict(model, source, batch_size=7), lengths)


def test_tensorboard_shows_each_epoch_once_after_an_interruption(fit: Fit, tmp_path: pathlib.Path) -> None:
    with pytest.raises(StoppedError):
        fit(monitor=interrupted(3))
    _, result = fit()
    events = event_accumulator.EventAccumulator(str(tmp_path / "run/logs"))
    events.Reload()
    assert [event.step for event in events.Tensors("loss")] == [1, 2, 3, 4, 5]
    assert len(list((tmp_path / "run/logs").iterdir())) == 1
    assert events.Tags()["tensors"] == list(result.history[0])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_progress_bar_and_a_pipe_nothing(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fit("pipe", progress=True)
    assert capfd.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    fit("terminal", progress=True, monitor=scripted([0.5, 0.25, 0.75, 0.75, 0.75]))
    for words in ("epoch 1/5", "epoch 5/5", "best 0.7500 in epoch 3", "100%"):
        assert words in terminal.getvalue()


def test_at_80_columns_the_time_left_is_seen_and_a_log_loss_has_the_sign_that_the_log_gives_it(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    fit(progress=True, is_log_loss=True, monitor=scripted([-0.5, -0.25, -0.75, -0.75, -0.75]))
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "log-loss 0.7500 (best 0.2500 in epoch 2)" in drawn
    assert "-0." not in drawn
    lines = [line for line in re.split(r"[\r\n]+", drawn) if "epoch" in line]
    assert lines
    for line in lines:
        assert re.match(r" *\d+% (-:--:--|\d+:\d\d:\d\d) ", line), line
        assert len(line) <= 80


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.5}, {"epochs": 6}, {"train": examples(70, seed=3)}, {"loss": "focal"}]
)
def test_another_training_may_not_go_on_from_this_checkpoint(fit: Fit, change: dict[str, Any]) -> None:
    fit()
    if "loss" in change:
        change = {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=3)}
    with pytest.raises(errors.InputError, match="expected the same training"):
        fit(**change)


def test_another_network_may_not_go_on_from_this_checkpoint(fit: Fit) -> None:
    fit()
    with pytest.raises(errors.InputError, match="model = "):
        fit(model=linear())


def test_a_broken_checkpoint_is_named(fit: Fit, tmp_path: pathlib.Path) -> None:
    fit(epochs=1)
    checkpoint = tmp_path / "run/checkpoints/checkpoint.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(errors.InputError, match=r"checkpoint\.npz: expected a checkpoint"):
        fit(epochs=1)


@pytest.mark.parametrize("damage", [lambda held: held[:1000], lambda _: b"", lambda held: held[:-9] + b"\0" * 9])
def test_where_the_newest_checkpoint_is_damaged_the_one_before_leads_to_the_same_bits(
    fit: Fit, tmp_path: pathlib.Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = fit("whole")
    with pytest.raises(StoppedError):
        fit("parts", monitor=interrupted(3))
    checkpoint = tmp_path / "parts/checkpoints/checkpoint.npz"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    parts, result = fit("parts")
    assert result.resumed_from == 2
    assert same(whole, parts)
    assert "checkpoint.npz: expected a checkpoint" in caplog.text
    assert "going on from the epoch before" in caplog.text


def test_two_damaged_checkpoints_are_an_error_that_names_the_newest(fit: Fit, tmp_path: pathlib.Path) -> None:
    fit()
    for path in (tmp_path / "run/checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(errors.InputError, match=r"checkpoint\.npz: expected a checkpoint; delete the file"):
        fit()


def test_a_training_that_diverges_says_so(fit: Fit) -> None:
    with pytest.raises(errors.FieldnetsError, match=r"[Ee]poch \d.*: expected finite numbers"):
        squares(fit, train=column_labels(np.ones(70, np.float32)), learning_rate=1e20)


class NoNumber(keras.losses.SparseCategoricalCrossentropy):  # type: ignore[misc]
    """A loss that is no number at its ``at``-th call, validations included."""

    def __init__(self, at: int) -> None:
        super().__init__(from_logits=True, name="no_number")
        self._at = at
        self._calls = keras.Variable(0, dtype="int32", trainable=False, name="calls")

    def call(self, labels: Any, logits: Any) -> Any:
        self._calls.assign_add(1)
        return keras.ops.where(self._calls == self._at, np.nan, super().call(labels, logits))


def test_a_loss_that_is_no_number_names_its_batch_and_keeps_the_weights_of_before(
    fit: Fit, tmp_path: pathlib.Path
) -> None:
    whole, _ = fit("whole", loss=NoNumber(0))
    # Five batches and a validation in each epoch: the 15th call is of the third batch of the third epoch.
    with pytest.raises(
        errors.FieldnetsError, match=r"epoch 3, batch 3 of 5: expected finite numbers\. Received: .*nan"
    ):
        fit("parts", loss=NoNumber(15))
    with np.load(tmp_path / "parts/checkpoints/checkpoint.npz") as held:
        assert all(np.isfinite(held[name]).all() for name in held.files if name != "state")
    parts, result = fit("parts", loss=NoNumber(0))
    assert result.resumed_from == 2
    assert same(whole, parts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"batch_size": "some"},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"warmup_fraction": 1.0},
        {"ema_momentum": 1.0},
        {"gradient_clip_norm": 0.0},
        {"patience": -1},
        {"optimizer": "rmsprop"},
        {"schedule": "plateau"},
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    with pytest.raises(errors.InputError, match=f"{name}: expected .* Received: "):
        fitting.FitSettings(**wrong)


def test_averages_are_shown_and_the_very_weights_put_back() -> None:
    model = linear()
    model.compile(optimizer=keras.optimizers.SGD(0.1, use_ema=True), loss="mse")
    model.optimizer.build(model.trainable_variables)
    before = np.array([[0.1], [1 / 3], [1e-8], [7.7]], np.float32)
    model.set_weights([before])
    with callbacks.AveragedWeights(model):
        np.testing.assert_array_equal(model.get_weights()[0], 0 * before)
    np.testing.assert_array_equal(model.get_weights()[0], before)


def test_without_a_checkpoint_a_training_begins_at_the_beginning(tmp_path: pathlib.Path) -> None:
    state = checkpoints.load(tmp_path / "none.npz", model=None, identity={"seed": 1})
    assert (state.epoch, state.finished, state.identity) == (0, False, {"seed": 1})


def test_a_training_begun_by_one_name_of_the_command_is_resumed_by_the_other() -> None:
    """``sentiment`` imports ``fieldnets.shared``, ``python -m apps.sentiment`` imports ``shared``."""
    assert fitting._described(losses.BrierScore(classes=2))["module"] == "fieldnets.shared.models.losses"
    assert fitting._described(keras.losses.MeanSquaredError())["module"] == "keras.losses"


def test_each_layer_learns_at_its_own_rate() -> None:
    """Adam's first step is the learning rate in every number, whatever the gradient's size."""
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(3, name="lower")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(2, name="upper")(hidden))
    before = {weight.path: np.array(weight) for weight in network.weights}
    optimizer = optimizers.build_optimizer("adam", learning_rate=0.01, layer_rates={"lower": 0.25})
    network.compile(optimizer=optimizer, loss="mse")
    network.train_on_batch(np.ones((4, 2), np.float32), np.full((4, 2), 7.0, np.float32))
    for weight in network.weights:
        step = 0.01 * (0.25 if weight.path.startswith("lower/") else 1.0)
        assert np.abs(np.array(weight) - before[weight.path]) == pytest.approx(step, rel=0.01)


def test_layers_have_rates_of_their_own_with_adam_alone() -> None:
    with pytest.raises(ValueError, match=r"Expected adam or adamw.*Received: 'sgd'"):
        optimizers.build_optimizer("sgd", learning_rate=0.01, layer_rates={"lower": 0.25})
