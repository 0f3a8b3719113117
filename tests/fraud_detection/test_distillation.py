"""A network learns what boosted trees say, from rows between and around those that they learnt from."""

import pathlib

import numpy as np
import pytest

from apps.fraud_detection import config, inputs, jobs, label_free, model, schema, train
from shared import files

COLUMNS = 4


def world(rng: np.random.Generator, rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Frauds are above a threshold in one column and below one in another: what trees find."""
    numbers = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    labels = ((numbers[:, 0] > 0.9) & (numbers[:, 1] < -0.3)).astype(np.int64)
    categories = rng.integers(0, 3, (rows, 1)).astype(np.int32)
    return {"numbers": numbers, "categories": categories}, labels


def learnt(labels: np.ndarray, *, entities: dict[str, str] | None = None) -> inputs.Inputs:
    names = tuple(f"V{number}" for number in range(COLUMNS))
    found = schema.Schema(
        time="t", time_unit="seconds", amount=None, numeric=names, entities=entities or {}, categorical=("kind",)
    )
    history = inputs.history_names(found)
    return inputs.Inputs(
        schema=found,
        calendar=False,
        numbers=(*names, *history),
        vocabularies={"kind": ("a", "b")},
        typical=(0.0,) * (len(names) + len(history)),
        frauds=int(labels.sum()),
        sequence_length=0,
    )


def test_recombined_rows_take_each_number_and_category_from_rows_that_there_are(rng: np.random.Generator) -> None:
    arrays, labels = world(rng, 500)
    arrays["numbers"][:50, 2] = np.nan
    drawn = label_free.recombined(arrays, labels, 4_000, rng)
    known = [np.isin(drawn["numbers"][:, column], arrays["numbers"][:, column]) for column in range(COLUMNS)]
    # Half of the rows are blurred; a missing number stays missing.
    assert np.mean(known) == pytest.approx(0.5, abs=0.05)
    assert 0 < np.isnan(drawn["numbers"][:, 2]).mean() < 0.2
    assert not np.isnan(drawn["numbers"][:, [0, 1, 3]]).any()
    assert set(np.unique(drawn["categories"])) == set(np.unique(arrays["categories"]))


def test_half_of_the_recombined_rows_start_from_a_fraud(rng: np.random.Generator) -> None:
    arrays, labels = world(rng, 500)
    arrays["numbers"][:, 3] = labels
    drawn = label_free.recombined(arrays, labels, 4_000, rng)
    assert (drawn["numbers"][:, 3] > 0.5).mean() == pytest.approx(0.5, abs=0.05)


def test_log_odds_survive_as_two_logits_and_are_bounded() -> None:
    logits = label_free.as_logits(np.array([-2.0, 0.5, 50.0]))
    assert (logits[:, 1] - logits[:, 0]).tolist() == [-2.0, 0.5, label_free.MOST_LOG_ODDS]


def test_it_is_trained_only_where_labels_are_few_and_no_histories_are_kept(rng: np.random.Generator) -> None:
    few = (rng.random(5_000) < 0.01).astype(int)
    settings = config.Config.default()
    assert "distilled" in model.networks(settings, learnt(few))
    assert "distilled" not in model.networks(settings, learnt(1 - few))
    assert "distilled" not in model.networks(settings, learnt(few, entities={"card": "card"}))
    assert model.networks(settings.replace({"model": "distilled"}), learnt(1 - few)) == ("distilled",)


@pytest.mark.tensorflow
def test_the_network_says_of_unseen_rows_what_the_trees_say(rng: np.random.Generator, tmp_path: pathlib.Path) -> None:
    parts = {name: world(rng, rows) for name, rows in (("train", 2_000), ("validation", 600), ("test", 1_000))}
    labels = parts["train"][1]
    job = jobs.Job(
        inputs=learnt(labels),
        arrays={name: arrays for name, (arrays, _) in parts.items()},
        labels={name: kinds for name, (_, kinds) in parts.items()},
        settings=config.Config.smoke().replace({"epochs": 8, "hidden_units": (64, 32)}),
        folder=files.RunFolder(tmp_path),
        prefix="",
    )
    network = train.fit_network("distilled", job)
    arrays, kinds = parts["test"]
    logits = np.asarray(network.predict({name: arrays[name] for name in ("numbers", "categories")}, verbose=0))
    said = logits[:, 1] - logits[:, 0]
    taught = np.clip(label_free.fit_teacher(job)(arrays), -label_free.MOST_LOG_ODDS, label_free.MOST_LOG_ODDS)
    assert np.corrcoef(said, taught)[0, 1] > 0.95
    assert said[kinds == 1].min() > np.quantile(said[kinds == 0], 0.95)
