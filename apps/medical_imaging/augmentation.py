"""How training images are varied: as another radiographer, another tube or another detector would have made them.

Runs in tf.data on whole batches and draws from (seed, epoch, row) only, as ``shared.training.datasets`` requires, so
that a resumed training sees the very pictures an uninterrupted one does.
"""

import functools
from typing import Any

import tensorflow as tf

from apps.medical_imaging import config
from shared.training import datasets


def build(settings: config.Config) -> datasets.Augment:
    """Return the augmentation that ``settings`` describe: (batch, size, size, channels) images in [0, 255]."""
    return functools.partial(vary, settings=settings)


def vary(inputs: dict[str, Any], labels: Any, seeds: Any, *, settings: config.Config) -> tuple[dict[str, Any], Any]:
    """Move, re-expose, add noise to and mix the images of one batch.

    Args:
        inputs: ``image`` (batch, size, size, channels) uint8.
        labels: (batch, classes) float32.
        seeds: (batch, 2) int64.
        settings: How much of each.

    Returns:
        ``image`` float32 in [0, 255], and the labels, mixed where mixup is on.
    """
    seed = seeds[0]
    images = tf.cast(inputs["image"], tf.float32) / 255.0
    images = _move(images, seed, settings)
    images = _expose(images, seed, settings)
    images = tf.clip_by_value(_add_noise(images, seed, settings), 0.0, 1.0) * 255.0
    if settings.mixup:
        images, labels = _mix(images, labels, seed, settings)
    return {"image": images}, labels


def _uniform(rows: Any, seed: Any, number: int) -> Any:
    """Return (rows,) float32 in [-1, 1); every ``number`` gives other ones."""
    return tf.random.stateless_uniform([rows], seed=_stream(seed, number), minval=-1.0)


def _stream(seed: Any, number: int) -> Any:
    """Return (2,) another seed for each ``number``."""
    return seed + tf.constant([number, 0], tf.int64)


def _move(images: Any, seed: Any, settings: config.Config) -> Any:
    """Rotate, scale and shift each image, about its centre; what comes in from outside mirrors what is there."""
    rows, side = tf.shape(images)[0], tf.cast(tf.shape(images)[1], tf.float32)
    angle = _uniform(rows, seed, 1) * (settings.rotation_degrees * 3.14159265 / 180.0)
    scale = 1.0 + _uniform(rows, seed, 2) * settings.scale_fraction
    flip = tf.sign(_uniform(rows, seed, 3)) if settings.flip else tf.ones([rows])
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    centre = (side - 1.0) / 2.0
    shift_x = centre + _uniform(rows, seed, 4) * settings.shift_fraction * side
    shift_y = centre + _uniform(rows, seed, 5) * settings.shift_fraction * side
    across = centre - flip * (cosine * shift_x - sine * shift_y)
    down = centre - (sine * shift_x + cosine * shift_y)
    zeros = tf.zeros([rows])
    transforms = tf.stack([flip * cosine, -flip * sine, across, sine, cosine, down, zeros, zeros], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _expose(images: Any, seed: Any, settings: config.Config) -> Any:
    """Change gamma, contrast and brightness, each by its own amount."""
    rows = tf.shape(images)[0]

    def amount(number: int) -> Any:
        return settings.exposure * _uniform(rows, seed, number)[:, tf.newaxis, tf.newaxis, tf.newaxis]

    images = tf.pow(tf.maximum(images, 1e-4), tf.exp(amount(6)))
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return (images - mean) * (1.0 + amount(7)) + mean + 0.3 * amount(8)


def _add_noise(images: Any, seed: Any, settings: config.Config) -> Any:
    """Add grain of a strength of its own to each image."""
    if not settings.noise:
        return images
    strength = settings.noise * tf.abs(_uniform(tf.shape(images)[0], seed, 9))
    grain = tf.random.stateless_normal(tf.shape(images), seed=_stream(seed, 10))
    return images + strength[:, tf.newaxis, tf.newaxis, tf.newaxis] * grain


def _mix(images: Any, labels: Any, seed: Any, settings: config.Config) -> tuple[Any, Any]:
    """Blend each image and its label with another's (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).

    An unknown label (NaN) stays unknown in the blend.
    """
    rows = tf.shape(images)[0]
    first, second = (
        tf.random.stateless_gamma([rows], seed=_stream(seed, number), alpha=settings.mixup) for number in (11, 12)
    )
    share = first / (first + second)
    share = tf.maximum(share, 1.0 - share)[:, tf.newaxis]
    wide = share[:, :, tf.newaxis, tf.newaxis]
    return wide * images + (1 - wide) * images[::-1], share * labels + (1 - share) * labels[::-1]
