"""The two networks of a class-conditional GAN for images; `shared.models.wasserstein` trains them.

Two things that later work found to help: the critic is told the class by projection (Miyato and Koyama 2018,
https://arxiv.org/abs/1802.05637), and the noise enters every stage of the generator as a style (Karras et al. 2019,
https://arxiv.org/abs/1812.04948). Their defaults are for two cores; a GPU can carry more filters.
"""

import math
from typing import Any

import keras

from shared.models import building

# A side that is small enough for one dense layer to draw.
LARGEST_FIRST_SIDE = 7
SLOPE = 0.2  # of the leaky rectifiers, as in DCGAN


def build_generator(
    *,
    image_shape: tuple[int, int, int],
    classes: int,
    latent_size: int = 64,
    filters: int = 16,
    most_filters: int = 64,
) -> keras.Model:
    """Build a network that draws images of a class.

    Args:
        image_shape: (side, side, channels), the side a power of two times a number of at most 7, such as 28 or 64.
        classes: Number of classes, at least 2.
        latent_size: Random numbers behind one image.
        filters: Channels at half the full size; each further halving doubles them.
        most_filters: Upper limit of channels.

    Returns:
        An uncompiled model: ``noise`` (batch, latent_size) float32, standard normal, and ``label`` (batch,) int32, to
        ``image`` (batch, *image_shape) float32 in [-1, 1].

    Raises:
        ValueError: An argument is outside its range.
    """
    building.check_counts("classes", (classes,), minimum=2)
    building.check_counts("sizes", (latent_size, filters, most_filters))
    sides = _sides(image_shape)
    noise = keras.Input((latent_size,), name="noise")
    label = keras.Input((), dtype="int32", name="label")
    kind = keras.layers.Embedding(classes, latent_size, embeddings_initializer="normal", name="class")(label)
    style = keras.layers.Concatenate(name="noise_and_class")([noise, kind])
    style = _rectified(
        keras.layers.Dense(2 * latent_size, kernel_initializer="he_normal", name="style")(style), "style"
    )
    channels = _channels(len(sides) - 1, filters, most_filters)
    x = keras.layers.Dense(sides[0] ** 2 * channels[0], kernel_initializer="he_normal", name="first")(style)
    x = keras.layers.Reshape((sides[0], sides[0], channels[0]), name="first_map")(x)
    for side, count in zip(sides[1:-1], channels[1:], strict=True):
        x = keras.layers.UpSampling2D(2, name=f"to_{side}")(x)
        x = keras.layers.Conv2D(count, 3, padding="same", kernel_initializer="he_normal", name=f"convolution_{side}")(x)
        x = _styled(x, style, name=f"stage_{side}")
        x = _rectified(x, f"stage_{side}")
    x = keras.layers.Conv2D(4 * image_shape[2], 3, padding="same", name="drawing")(x)
    x = _unfolded(x, image_shape)
    # float32 also under mixed precision: 16 bits would be fewer grey levels than an image has.
    image = keras.layers.Activation("tanh", dtype="float32", name="image")(x)
    return keras.Model({"noise": noise, "label": label}, image, name="generator")


def build_critic(
    *, image_shape: tuple[int, int, int], classes: int, filters: int = 16, most_filters: int = 64
) -> keras.Model:
    """Build a network that says how real an image of a class looks; no layer mixes the rows of a batch.

    Args:
        image_shape: (side, side, channels) as in `build_generator`.
        classes: Number of classes, at least 2.
        filters: Channels after the first halving; each further one doubles them.
        most_filters: Upper limit of channels.

    Returns:
        An uncompiled model: ``sample`` (batch, *image_shape) float32 in [-1, 1] and ``label`` (batch,) int32, to
        ``score`` (batch, 1) float32 without limits.

    Raises:
        ValueError: An argument is outside its range.
    """
    building.check_counts("classes", (classes,), minimum=2)
    building.check_counts("sizes", (filters, most_filters))
    sides = _sides(image_shape)[-2::-1]
    sample = keras.Input(image_shape, name="sample")
    label = keras.Input((), dtype="int32", name="label")
    x = sample
    for side, count in zip(sides, reversed(_channels(len(sides), filters, most_filters)), strict=True):
        x = keras.layers.Conv2D(
            count, 4, strides=2, padding="same", kernel_initializer="he_normal", name=f"convolution_{side}"
        )(x)
        x = _rectified(x, f"convolution_{side}")
    x = keras.layers.Flatten(name="flat")(x)
    features = _rectified(
        keras.layers.Dense(most_filters, kernel_initializer="he_normal", name="features")(x), "features"
    )
    return keras.Model({"sample": sample, "label": label}, project(features, label, classes=classes), name="critic")


def project(features: Any, label: Any, *, classes: int) -> Any:
    """Return the score of (batch, d) features for a class, (batch, 1) float32: linear + <class vector, features>.

    Miyato and Koyama 2018, equation 3.
    """
    wanted = keras.layers.Embedding(classes, features.shape[-1], name="class")(label)
    match = keras.layers.Dot(axes=-1, name="match")([features, wanted])
    plain = keras.layers.Dense(1, name="plain")(features)
    return keras.layers.Add(dtype="float32", name="score")([plain, match])


def _sides(image_shape: tuple[int, int, int]) -> list[int]:
    """Return the sides from the first map to the whole image.

    >>> _sides((28, 28, 1))
    [7, 14, 28]
    """
    building.check_rank("image_shape", image_shape, (3,))
    side = image_shape[0]
    halvings = max(0, math.ceil(math.log2(side / LARGEST_FIRST_SIDE)))
    if image_shape[1] != side or halvings == 0 or side % 2**halvings:
        wanted = f"(side, side, channels), the side a power of two times a number of at most {LARGEST_FIRST_SIDE}"
        raise ValueError(f"Expected image_shape to be {wanted}. Received: {tuple(image_shape)}")
    return [side // 2**halving for halving in range(halvings, -1, -1)]


def _channels(stages: int, filters: int, most_filters: int) -> list[int]:
    """Return the channels from the smallest map to the largest.

    >>> _channels(4, 32, 128)
    [128, 128, 64, 32]
    """
    return [min(most_filters, filters * 2**stage) for stage in range(stages - 1, -1, -1)]


def _styled(x: Any, style: Any, *, name: str) -> Any:
    """Normalize the channels and let the style say their scale and offset, image by image."""
    channels = x.shape[-1]
    x = keras.layers.RMSNormalization(name=f"{name}_normalization")(x)
    scale, offset = (
        keras.layers.Reshape((1, 1, channels), name=f"{name}_{use}_map")(
            keras.layers.Dense(channels, bias_initializer=start, name=f"{name}_{use}")(style)
        )
        for use, start in (("scale", "ones"), ("offset", "zeros"))
    )
    x = keras.layers.Multiply(name=f"{name}_scaled")([x, scale])
    return keras.layers.Add(name=f"{name}_styled")([x, offset])


def _unfolded(x: Any, image_shape: tuple[int, int, int]) -> Any:
    """Lay the four pixels of each place out (Shi et al. 2016, https://arxiv.org/abs/1609.05158, section 3).

    No convolution runs at full size, which saves time and costs a faint pattern of two pixels in short trainings.
    """
    side, _, channels = image_shape
    x = keras.layers.Reshape((side // 2, side // 2, 2, 2, channels), name="squares")(x)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="squares_in_rows")(x)
    return keras.layers.Reshape(image_shape, name="unfolded")(x)


def _rectified(x: Any, name: str) -> Any:
    return keras.layers.LeakyReLU(negative_slope=SLOPE, name=f"{name}_rectified")(x)
