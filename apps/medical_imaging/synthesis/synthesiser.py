"""Synthetic radiographs: train a generator on the training part, draw from it, write what it drew.

The package tells whether they are copies of patients, and whether a classifier gains by them.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.PngImagePlugin

from apps.medical_imaging.readers import folders
from shared import errors, files, published
from shared.evaluation import frechet
from shared.models import gan
from shared.training import datasets
from shared.training import fit as fitting
from shared.training import gan as gan_training

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
# (n, side, side, channels) uint8 to (n, d) float, d well below n.
Features = Callable[[Pixels], npt.NDArray[np.float64]]

NOTICE = "Synthetic image, drawn by a neural network. It shows no patient and is no medical image."
FEATURE_BLOCKS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Synthesiser:
    """A trained generator.

    Attributes:
        generator: {noise, label} -> images in [-1, 1], with the averaged weights of the best epoch.
        class_names: One name per class.
        result: What the training came to; ``best_value`` is minus the smallest Fréchet distance.
        floor: The Fréchet distance of as many real training images as were drawn: what a perfect generator would reach.
    """

    generator: keras.Model
    class_names: tuple[str, ...]
    result: fitting.FitResult
    floor: float

    def draw(self, labels: Labels, *, seed: int) -> Pixels:
        """Return an image (side, side, channels) uint8 of each given class; a pure function."""
        if len(labels) == 0:
            return np.zeros((0, *self.generator.output.shape[1:]), np.uint8)
        return gan_training.to_pixels(gan_training.generate(self.generator, labels, seed=seed))


def train_gan(
    images: Pixels,
    labels: npt.ArrayLike,
    *,
    class_names: Sequence[str],
    reference: tuple[Pixels, npt.ArrayLike],
    settings: gan_training.GanSettings,
    outputs: fitting.Outputs,
    features: Features | None = None,
) -> Synthesiser:
    """Train a class-conditional WGAN-GP; called again after a kill, go on and end with the same weights.

    Seeds Keras, so that the networks start alike in every process.

    Args:
        images: (n, side, side, channels) uint8 of the training part ONLY, the side a power of two times a number of at
            most 7 (28, 48, 64, 96, 112, 128, ...).
        labels: (n,) int in [0, classes).
        class_names: One name per class.
        reference: Images and labels of the validation part, with which each epoch's samples are compared.
        settings: How to train.
        outputs: Where checkpoint, history and logs go; ``logs/samples`` gets a picture per epoch.
        features: What the Fréchet distance compares; None = `block_features`.

    Raises:
        errors.InputError: The arrays do not fit, a class has no image, or the side is another.
    """
    truth = _checked(images, labels, class_names, where="training images")
    reference_truth = _checked(reference[0], reference[1], class_names, where="reference images")
    if images.shape[1:] != reference[0].shape[1:]:
        raise errors.InputError(
            f"reference images: expected shape (m, *{images.shape[1:]}). Received: {reference[0].shape}"
        )
    score = _distance(reference[0], reference_truth, classes=len(class_names), features=features or block_features)
    keras.utils.set_random_seed(settings.seed)
    generator, critic = _networks(images.shape[1:], classes=len(class_names))
    result = gan_training.fit(
        generator,
        critic,
        datasets.Arrays(inputs={"sample": images}, labels=truth, augment=gan_training.from_pixels),
        settings=settings,
        distance=lambda samples, drawn: score(gan_training.to_pixels(samples), drawn),
        outputs=outputs,
    )
    return Synthesiser(generator=generator, class_names=tuple(class_names), result=result, floor=score(images, truth))


def block_features(images: Pixels) -> npt.NDArray[np.float64]:
    """Return the mean and the standard deviation of the grey levels in 8 x 8 blocks: layout and texture.

    They need no network, so that they mean the same on every machine; values compare only within one data set.

    Args:
        images: (n, side, side, channels) uint8; what a side exceeds a multiple of 8 by is left out.

    Returns:
        (n, 128 x channels) float64 in [0, 1].
    """
    count, height, width, channels = images.shape
    rows, columns = height // FEATURE_BLOCKS, width // FEATURE_BLOCKS
    cut = images[:, : rows * FEATURE_BLOCKS, : columns * FEATURE_BLOCKS].astype(np.float64) / 255
    blocks = cut.reshape(count, FEATURE_BLOCKS, rows, FEATURE_BLOCKS, columns, channels)
    return np.concatenate([blocks.mean((2, 4)).reshape(count, -1), blocks.std((2, 4)).reshape(count, -1)], axis=1)


def write_images(
    images: Pixels,
    labels: npt.ArrayLike,
    *,
    class_names: Sequence[str],
    folder: pathlib.Path,
    facts: dict[str, Any],
) -> list[pathlib.Path]:
    """Write ``folder/<class>/synthetic-00001.png`` and so on, and `folders.SYNTHETIC`, all at once.

    Every file says in its own metadata that it is synthetic.

    Args:
        images: (n, side, side, channels) uint8, channels 1 or 3.
        labels: (n,) int in [0, classes).
        class_names: One name per class.
        folder: A new or empty folder.
        facts: Where the images come from, as JSON values: run, seed, what the checks found.

    Returns:
        The images' paths, in the order of the images.

    Raises:
        errors.InputError: The folder is in use, a class name cannot be a folder's, or the arrays do not fit.
    """
    truth = _checked(images, labels, class_names, where="synthetic images", every_class=False)
    for name in class_names:
        if pathlib.PurePath(name).name != name or name in ("", ".", "..") or "\\" in name:
            raise errors.InputError(f"class name: expected one that can name a folder. Received: {name!r}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise errors.InputError(f"{folder}: expected a new or empty folder for synthetic images. Received: one in use")
    note = PIL.PngImagePlugin.PngInfo()
    note.add_text("Comment", NOTICE)
    names = [f"{class_names[label]}/synthetic-{number:05d}.png" for number, label in enumerate(truth, start=1)]
    counts = {name: int((truth == label).sum()) for label, name in enumerate(class_names)}
    with published.folder(folder, listed=False) as into:
        for image, name in zip(images, names, strict=True):
            (into / name).parent.mkdir(exist_ok=True)
            PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(into / name, pnginfo=note)
        files.write_json(into / folders.SYNTHETIC, {"notice": NOTICE, "counts": counts, **facts})
    return [folder / name for name in names]


def _networks(image_shape: tuple[int, ...], *, classes: int) -> tuple[keras.Model, keras.Model]:
    try:
        shape = (image_shape[0], image_shape[1], image_shape[2])
        return (
            gan.build_generator(image_shape=shape, classes=classes),
            gan.build_critic(image_shape=shape, classes=classes),
        )
    except ValueError as error:
        raise errors.InputError(f"training images: {error}") from None


def _distance(images: Pixels, labels: Labels, *, classes: int, features: Features) -> Callable[[Pixels, Labels], float]:
    """Return the Fréchet distance to the reference of features and class together.

    With the class beside the features, scaled to weigh as much, a generator that ignores the class differs from
    one that draws it: DeVries et al. 2019, "On the evaluation of conditional GANs" (https://arxiv.org/abs/1907.08175).
    Features are standardised by the reference, so that the distance has no unit.
    """
    plain = features(images)
    mean, scale = plain.mean(axis=0), plain.std(axis=0) + 1e-6

    def joint(pixels: Pixels, kinds: Labels) -> npt.NDArray[np.float64]:
        standardised = (features(pixels) - mean) / scale / np.sqrt(len(mean))
        return np.concatenate([standardised, np.eye(classes)[kinds]], axis=1)

    wanted = joint(images, labels)
    return lambda pixels, kinds: frechet.frechet_distance(joint(pixels, kinds), wanted)


def _checked(
    images: Pixels, labels: npt.ArrayLike, class_names: Sequence[str], *, where: str, every_class: bool = True
) -> Labels:
    """Return the labels, (n,) int64."""
    truth = np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        received = f"{images.dtype} {images.shape}"
        raise errors.InputError(f"{where}: expected uint8 (n, side, side, 1 or 3). Received: {received}")
    whole = truth.ndim == 1 and len(truth) == len(images) and truth.dtype.kind in "iu"
    if not whole or not np.isin(truth, np.arange(len(class_names))).all():
        wanted = f"{len(images)} class numbers below {len(class_names)}"
        raise errors.InputError(f"{where}: expected {wanted}. Received: {truth.dtype} {truth.shape}")
    absent = [name for label, name in enumerate(class_names) if not (truth == label).any()]
    if every_class and absent:
        raise errors.InputError(f"{where}: expected images of every class. Received: none of {', '.join(absent)}")
    return truth.astype(np.int64)
