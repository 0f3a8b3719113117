"""A time limit: epochs are cut where they must be, evenly, and never below one; a resumed run keeps its plan."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import cli, errors

pytestmark = pytest.mark.tensorflow


def _planned(name: str, *, epochs: int, step: float, steps: int = 10) -> object:
    from shared.training import estimates

    return estimates.Planned(
        name=name,
        inputs={"x": (3,)},
        rows=(100, 10),
        parameters=5,
        trained_parameters=5,
        flops=10,
        epochs=epochs,
        steps=steps,
        batch_rows=10,
        step_seconds=step,
        validation_seconds=0.5,
        compile_seconds=2.0,
    )


@given(
    limit=st.floats(1, 5_000),
    others=st.floats(0, 100),
    networks=st.lists(st.tuples(st.integers(1, 60), st.floats(0.001, 1)), min_size=1, max_size=5),
)
def test_a_plan_fits_its_time_or_says_how_much_is_needed(
    limit: float, others: float, networks: list[tuple[int, float]]
) -> None:
    from shared.training import budgets

    planned = [_planned(f"n{at}", epochs=epochs, step=step) for at, (epochs, step) in enumerate(networks)]
    least = 1 + 1.2 * (others + sum(2 + 10 * step + 0.5 for _, step in networks))
    if least > limit:
        with pytest.raises(errors.InputError, match=f"at least {least:.0f} s"):
            budgets.plan(planned, limit_seconds=limit, other_seconds=others, passed_seconds=1.0)  # type: ignore[arg-type]
        return
    found = budgets.plan(planned, limit_seconds=limit, other_seconds=others, passed_seconds=1.0)  # type: ignore[arg-type]
    assert all(1 <= epochs <= asked for epochs, asked in zip(found.epochs, found.asked, strict=True))
    by_hand = (
        1
        + 1.2 * others
        + sum(1.2 * (2 + epochs * (10 * step + 0.5)) for epochs, (_, step) in zip(found.epochs, networks, strict=True))
    )
    assert by_hand <= limit + 1e-6
    assert found.expected_seconds == pytest.approx(by_hand, abs=0.06)
    assert budgets.Plan.from_json(json.loads(json.dumps(found.to_json())), where="here") == found


def test_with_time_enough_nothing_is_cut_and_with_half_of_it_all_get_about_half() -> None:
    from shared.training import budgets

    planned = [_planned("a", epochs=20, step=0.1), _planned("b", epochs=10, step=0.4)]
    whole = budgets.plan(planned, limit_seconds=1e4, other_seconds=0, passed_seconds=0)  # type: ignore[arg-type]
    assert (whole.epochs, whole.cut) == ((20, 10), {})
    half = budgets.plan(planned, limit_seconds=whole.expected_seconds / 2, other_seconds=0, passed_seconds=0)  # type: ignore[arg-type]
    assert half.epochs == (9, 4)
    assert half.cut == {"a": "9 of 20 epochs", "b": "4 of 10 epochs"}


def test_what_a_training_used_names_its_time_limit_and_what_was_cut(tmp_path: pathlib.Path) -> None:
    from shared import files, resources
    from shared.training import budgets

    run = files.RunFolder.create(tmp_path / "run")
    files.write_json(run.usage, {"seconds": 9.5})
    assert resources.of_training(run) == {"seconds": 9.5}
    plan = budgets.Plan(limit_seconds=10, expected_seconds=9, networks=("a",), asked=(5,), epochs=(2,))
    files.write_json(run.time_limit, plan.to_json())
    assert resources.of_training(run) == {"time_limit_seconds": 10, "cut": {"a": "2 of 5 epochs"}, "seconds": 9.5}


def test_trainings_have_the_epochs_of_the_plan_in_their_order_and_no_others(tmp_path: pathlib.Path) -> None:
    from shared.models import dense, losses
    from shared.training import budgets, datasets, fit

    wanted = budgets.Plan(limit_seconds=9, expected_seconds=1, networks=("a", "b"), asked=(5, 5), epochs=(2, 1))
    random = np.random.default_rng(0)
    rows = datasets.Arrays(inputs={"features": random.normal(size=(40, 2)).astype("float32")}, labels=np.arange(40) % 2)

    def train(name: str) -> int:
        folder = tmp_path / name
        result = fit.fit(
            dense.build_dense(input_shape=(2,), classes=2),
            rows,
            rows,
            settings=fit.FitSettings(epochs=5, patience=0),
            loss=losses.by_name("cross_entropy", classes=2),
            monitor=lambda _labels, logits: float(-np.abs(logits).mean()),
            outputs=fit.Outputs(checkpoints=folder, history=folder / "h.csv", logs=folder / "logs", progress=False),
        )
        return len(result.history)

    with budgets.kept_to(wanted):
        assert (train("a"), train("b")) == (2, 1)
        with pytest.raises(errors.FieldnetsError, match="'none'"):
            train("c")
    assert train("d") == 5


def test_a_damaged_plan_is_refused() -> None:
    from shared.training import budgets

    for content in ({}, {"limit_seconds": 1, "expected_seconds": 1, "networks": ["a"], "asked": [1], "epochs": []}):
        with pytest.raises(errors.InputError, match="here"):
            budgets.Plan.from_json(content, where="here")


@pytest.mark.parametrize("text", ["", "0", "0m", "-5", "ten", "10x", "h", "5m10h", "nan", "inf"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="600s, 10m or 1h30m"):
        cli.seconds(text)


def test_times_are_read_as_people_write_them() -> None:
    assert [cli.seconds(text) for text in ("600s", "10m", "1h", "1h30m", "90", "1.5M")] == [
        600,
        600,
        3600,
        5400,
        90,
        90,
    ]
