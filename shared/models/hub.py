"""Backbones of KerasHub by preset: a name that is fetched, an address, or a folder. They need the extra ``hub``."""

import contextlib
import importlib.util
import sys
from typing import Any

import keras
import numpy as np

from shared import config, errors


def load(backbone: str, *, weights: bool, **options: Any) -> tuple[keras.Model, keras.layers.Layer]:
    """Return a preset's network, and the layer that scales images (batch, height, width, 3) in [0, 255] for it.

    Args:
        backbone: ``config.PRESET`` and the preset.
        weights: Whether to load its weights as well.
        options: Of the backbone, instead of the preset's own.

    Raises:
        errors.InputError: KerasHub or the preset is not to be had.
    """
    hub, preset = require(), backbone.removeprefix(config.PRESET)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # KerasHub tells there what it fetches.
            network = hub.models.Backbone.from_preset(preset, load_weights=weights, **options)
            converter = hub.layers.ImageConverter.from_preset(preset)
    except (OSError, ValueError) as error:
        raise errors.InputError(
            f"--backbone {backbone}: expected an image preset of KerasHub and a network to fetch it through, "
            f"or the folder of one with its image_converter.json. Received: {error}"
        ) from None
    scale, offset = (
        np.ravel(default if value is None else value).tolist()
        for value, default in ((converter.scale, 1.0), (converter.offset, 0.0))
    )
    return network, keras.layers.Rescaling(scale, offset=offset, name="scaled")


def require() -> Any:
    """Import KerasHub, which makes its layers known to Keras, as opening a network with one of its backbones needs.

    Raises:
        errors.InputError: It is not installed.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise errors.InputError(
            "--backbone hub:...: expected KerasHub, which `pip install fieldnets[hub]` installs. "
            "Received: it is not installed"
        )
    import keras_hub

    return keras_hub
