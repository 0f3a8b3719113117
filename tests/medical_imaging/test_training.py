"""Phases, weights and what epochs are compared by."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from apps.medical_imaging import config, model, train
from shared import files
from shared.training import datasets

pytestmark = pytest.mark.tensorflow


def test_the_head_learns_alone_first_and_only_where_the_rest_is_pretrained() -> None:
    found = train.phases(config.Config(frozen_epochs=1, epochs=5))
    assert list(found) == ["head", "network"]
    assert sum(phase.epochs for phase in found.values()) == 5
    assert [phase.head_only for phase in found.values()] == [True, False]
    assert train.phases(config.Config(model="cnn", frozen_epochs=1, epochs=5)).keys() == {"network"}
    assert train.phases(config.Config(frozen_epochs=2, epochs=2)).keys() == {"head"}


def test_several_networks_differ_and_their_mean_answers(tmp_path: pathlib.Path) -> None:
    settings = config.Config(model="cnn", cnn_filters=(4, 8), networks=2, image_size=16, epochs=2, batch_size=8)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (16, 16, 16, 1), np.uint8)
    labels = np.eye(2, dtype=np.float32)[generator.integers(0, 2, 16)]
    part = datasets.Arrays(inputs={"image": images}, labels=labels)
    folder = files.RunFolder(tmp_path)
    networks = train.fit_networks(part, part, "single_label", settings, folder)
    first, second = (np.asarray(network(images, training=False)) for network in networks)
    assert not np.allclose(first, second)
    together = model.assemble(networks, settings)
    assert np.asarray(together(images, training=False)) == pytest.approx((first + second) / 2, abs=1e-5)
    history = pd.read_csv(folder.history)
    assert history.groupby("network")["epoch"].max().to_dict() == {1: 2, 2: 2}
    again = train.fit_networks(part, part, "single_label", settings, folder)
    for one, other in zip(networks, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_the_mean_auroc_leaves_out_what_is_unknown_and_what_is_always_the_same() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random((200, 3)) < 0.4).astype(np.float32)
    logits = (generator.normal(size=(200, 3)) + labels).astype(np.float32)
    labels[:50, 1] = np.nan
    labels[:, 2] = 0
    expected = [
        metrics.roc_auc_score(labels[:, 0], logits[:, 0]),
        metrics.roc_auc_score(labels[50:, 1], logits[50:, 1]),
    ]
    assert train.mean_auroc(labels, logits) == pytest.approx(np.mean(expected))
    two = np.eye(2, dtype=np.float32)[labels[:, 0].astype(int)]
    assert train.mean_auroc(two, np.stack([-logits[:, 0], logits[:, 0]], 1)) == pytest.approx(expected[0])


def test_balanced_weights_let_every_class_count_the_same() -> None:
    settings = dataclasses.replace(config.Config(), class_weights="balanced")
    labels = np.eye(2, dtype=np.float32)[[0] * 9 + [1]]
    weights = model.row_weights(settings, labels=labels)
    assert weights is not None
    assert weights.mean() == pytest.approx(1)
    assert weights[:9].sum() == pytest.approx(weights[9:].sum(), rel=1e-5)
    assert model.row_weights(config.Config(), labels=labels) is None


def test_unknown_labels_are_neither_weighed_nor_counted() -> None:
    labels = np.array([[1, np.nan], [0, 1], [np.nan, np.nan]], np.float32)
    weights = model.row_weights(dataclasses.replace(config.Config(), class_weights="balanced"), labels=labels)
    assert weights is not None
    assert np.isfinite(weights).all()
    several = train.monitor("multi_label")
    logits = np.array([[2, 5], [-2, 3], [9, 9]], np.float32)
    assert several(labels, logits) == several(labels, np.where(np.isnan(labels), -7, logits).astype(np.float32))


def test_logit_adjustment_asks_more_of_the_rare_class() -> None:
    loss = model.build_loss(
        dataclasses.replace(config.Config(), class_weights="logit_adjustment", label_smoothing=0.0),
        task="single_label",
        labels=np.eye(2, dtype=np.float32)[[0] * 9 + [1]],
    )
    rare, common = (float(loss(np.eye(2, dtype=np.float32)[[index]], np.zeros((1, 2), np.float32))) for index in (1, 0))
    assert rare == pytest.approx(-np.log(0.1), abs=1e-5)
    assert common == pytest.approx(-np.log(0.9), abs=1e-5)


@pytest.mark.parametrize("views", [1, 3])
def test_views_of_an_image_that_looks_alike_at_every_scale_change_nothing(views: int) -> None:
    settings = config.Config(model="cnn", image_size=16, cnn_filters=(4,), frozen_epochs=0, test_time_views=views)
    network = model.build(settings, classes=2)
    flat = np.full((2, 16, 16, 1), 90, np.float32)
    assert np.asarray(model.assemble([network], settings)(flat, training=False)) == pytest.approx(
        np.asarray(network(flat, training=False)), abs=1e-4
    )
