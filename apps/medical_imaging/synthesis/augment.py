"""The verb ``augment``: learn to draw images from the training part, write some, and check them."""

import dataclasses
import logging
import pathlib
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

from apps.medical_imaging import config, data, model, preprocessing, synthesis, train
from apps.medical_imaging import run as loaded_run
from apps.medical_imaging.synthesis import synthesiser as synthesiser_module
from shared import cli, errors, files, splits, stored
from shared.evaluation import calibration
from shared.report import blocks, document
from shared.training import datasets
from shared.training import fit as fitting
from shared.training import gan as gan_training

log = logging.getLogger("fieldnets")

FOLDER = "synthesis"


class _Memorisation(TypedDict):
    """What is said of copies of training images."""

    verdict: stored.Text
    found: stored.Flag


@stored.open_fields
class _Facts(TypedDict):
    """What ``facts.json`` holds that the report says."""

    frechet_distance: stored.Number
    frechet_distance_of_real_images: stored.Number
    memorisation: _Memorisation


# A tenth of them chooses the epoch of the network that is trained on them.
FEWEST_IMAGES = 20
# The gain is that of a small network, trained for each arm and seed; the app's own would take hours.
CLASSIFIER_FILTERS, CLASSIFIER_EPOCHS, CLASSIFIER_SEEDS = (16, 32, 64), 8, (0, 1)


def augment(  # noqa: PLR0913
    run: loaded_run.Run,
    own: data.Radiographs,
    split: splits.Split,
    *,
    images: int | None,
    image_size: int,
    epochs: int,
    output: pathlib.Path,
    seed: int,
) -> cli.Result:
    """Train a conditional GAN on the training part only and write synthetic images, one folder per class.

    Called again after a kill, the training goes on.

    Args:
        run: A finished run: its split defines what the training part is.
        own: Its images.
        split: Its split.
        images: How many to draw; None = as many as the training part has, with its shares of classes.
        image_size: Side in pixels, a power of two times a number of at most 7.
        epochs: Passes over the training part.
        output: New folder of the images.
        seed: Of weights, noise and order.

    Raises:
        errors.InputError: The run has several findings per image.
    """
    if run.task != "single_label":
        raise errors.InputError("augment: expected a run with one label per image. Received: one with several findings")
    settings = at_size(run.settings, image_size)
    squares, labels = part_of(own, split.rows("train"), settings)
    reference = part_of(own, split.rows("validation"), settings)
    folder = run.folder.path / FOLDER
    names = run.rule.class_names
    synthesiser = synthesiser_module.train_gan(
        squares,
        labels,
        class_names=names,
        reference=reference,
        settings=gan_training.GanSettings(epochs=epochs, seed=seed),
        outputs=fitting.Outputs(
            checkpoints=folder / "checkpoints", history=folder / "history.csv", logs=folder / "logs"
        ),
    )
    drawn = np.random.default_rng(seed).choice(labels, size=images or len(labels))
    synthetic = synthesiser.draw(drawn, seed=seed)
    found = synthesis.find_copies(synthetic, squares, reference[0], seed=seed)
    log.info("%s", found.conclusion)
    facts = {
        "run": run.folder.path.name,
        "seed": seed,
        "image_size": image_size,
        "frechet_distance": -synthesiser.result.best_value,
        "frechet_distance_of_real_images": synthesiser.floor,
        "memorisation": found.to_json(),
    }
    synthesiser_module.write_images(synthetic, drawn, class_names=names, folder=output, facts=facts)
    # In this order: images without facts, which a kill may leave, are not evaluated.
    (folder / "facts.json").unlink(missing_ok=True)
    with files.atomic(folder / "images.npz") as temporary:
        np.savez_compressed(temporary, images=synthetic, labels=drawn)
    files.write_json(folder / "facts.json", facts)
    return {"images": str(output), **facts, "next": f"medical-imaging evaluate --run-dir {run.folder.path}"}


def section(
    run: loaded_run.Run,
    own: data.Radiographs,
    split: splits.Split,
    evaluated: data.Radiographs,
    rows: npt.NDArray[np.int64],
) -> tuple[document.Section, ...]:
    """Return the report's part on synthetic images; nothing where ``augment`` was not called for this run.

    The same small network is trained on real, on real and synthetic, and on synthetic images; all see the same rows.
    """
    path, said = (run.folder.path / FOLDER / name for name in ("images.npz", "facts.json"))
    if not (path.exists() and said.exists()):
        return ()
    log.info("what synthetic images bring: training a small network %d times", 3 * len(CLASSIFIER_SEEDS))
    with np.load(path) as content:
        synthetic = content["images"], content["labels"]
    settings = at_size(run.settings, synthetic[0].shape[1])
    facts = stored.read(_Facts, said)
    distance, floor = facts["frechet_distance"], facts["frechet_distance_of_real_images"]
    lead = (
        f"A class-conditional WGAN-GP was trained on the training part. {facts['memorisation']['verdict']} Fréchet "
        f"distance to validation images {distance:.3f}; that of real training images {floor:.3f}."
    )
    reason = too_few(synthetic[1], classes=len(run.rule.class_names))
    if reason:
        return (document.Section("Synthetic images", lead, [blocks.Text(reason, tone="caution")]),)
    found = synthesis.compare_training(
        part_of(own, split.rows("train"), settings),
        synthetic,
        part_of(evaluated, rows, settings),
        fit_classifier=lambda images, labels, seed: _fit_small(images, labels, seed, settings),
        units=evaluated.patients[rows].astype(str),
        seeds=CLASSIFIER_SEEDS,
        resamples=run.settings.resamples,
    )
    good = found.gain and not facts["memorisation"]["found"]
    conclusion = blocks.Text(found.conclusion, tone="good" if good else "bad")
    return (document.Section("Synthetic images", lead, [conclusion, found.table()]),)


def too_few(labels: npt.NDArray[np.int64], *, classes: int) -> str:
    """Say why nothing can be trained on synthetic images (n,) of these classes; nothing where it can.

    >>> too_few(np.array([0, 1] * 3), classes=2)
    'What they bring was not tried: at least 20 images, of every class, are needed, and 6 of 2 classes are there.'
    """
    there = len(np.unique(labels))
    if len(labels) >= FEWEST_IMAGES and there == classes:
        return ""
    return (
        f"What they bring was not tried: at least {FEWEST_IMAGES} images, of every class, are needed, and "
        f"{len(labels)} of {there} classes are there."
    )


def at_size(settings: config.Config, image_size: int) -> config.Config:
    """Return ``settings`` for the small network on images of that side."""
    return dataclasses.replace(
        settings,
        model="cnn",
        image_size=image_size,
        cnn_filters=CLASSIFIER_FILTERS,
        frozen_epochs=0,
        epochs=CLASSIFIER_EPOCHS,
    )


def part_of(
    radiographs: data.Radiographs, rows: npt.NDArray[np.int64], settings: config.Config
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return decoded images and their class numbers."""
    return preprocessing.load_rows(radiographs, rows, settings), radiographs.labels[rows].argmax(axis=1)


def _fit_small(images: Any, labels: Any, seed: int, settings: config.Config) -> synthesis.Score:
    """Train the small network; the last tenth of the rows, shuffled, chooses its epoch."""
    one_hot = np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]
    order = np.random.default_rng(seed).permutation(len(labels))
    kept, held_out = order[len(order) // 10 :], order[: len(order) // 10]
    part = datasets.Arrays(inputs={"image": images}, labels=one_hot)
    with tempfile.TemporaryDirectory() as scratch:
        network = train.fit_network(
            part.take(kept),
            part.take(held_out),
            "single_label",
            dataclasses.replace(settings, seed=seed),
            files.RunFolder(pathlib.Path(scratch)),
        )
    temperature = calibration.fit_temperature(
        fitting.predict(network, part.take(held_out), batch_size=model.EVALUATION_ROWS), labels[held_out]
    )

    def score(new: Any) -> Any:
        logits = network.predict(new, batch_size=model.EVALUATION_ROWS, verbose=0)
        return calibration.apply_temperature(logits, temperature)

    return score
