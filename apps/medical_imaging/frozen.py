"""What a network that never saw a radiograph says of one: the features of EfficientNet-Lite0 with ImageNet's weights.

A logistic regression on them is the baseline that fine-tuning has to beat: it costs a minute and no tuning.
"""

import functools

import keras
import numpy as np
import numpy.typing as npt

from apps.medical_imaging import model
from shared.models import efficientnet, pretrained

# The features of smaller pictures are those of a blur: the network halves the side five times.
SMALLEST_SIDE = 96


def features(squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return (n, 1280) float32 features of (n, size, size, 1 or 3) images in [0, 255].

    Raises:
        errors.InputError: The package with the weights is not installed.
    """
    network = _network(max(squares.shape[1], SMALLEST_SIDE), squares.shape[3])
    starts = range(0, len(squares), model.EVALUATION_ROWS)
    found = [network.predict_on_batch(_images(squares[start : start + model.EVALUATION_ROWS])) for start in starts]
    return np.concatenate([np.empty((0, efficientnet.FEATURES_CHANNELS), np.float32), *found])


@functools.cache
def _network(size: int, channels: int) -> keras.Model:
    whole = efficientnet.build_efficientnet_lite(input_shape=(size, size, channels), classes=2)
    pretrained.load_efficientnet_lite0(whole)
    return keras.Model(whole.input, whole.get_layer("average").output, name="frozen_features")


def _images(squares: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    images = squares.astype(np.float32)
    if images.shape[1] >= SMALLEST_SIDE:
        return images
    size = (SMALLEST_SIDE, SMALLEST_SIDE)
    resized = keras.ops.image.resize(images, size, interpolation="bilinear", data_format="channels_last")
    return np.asarray(keras.ops.convert_to_numpy(resized), np.float32)
