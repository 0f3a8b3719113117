"""Sources and splits as tests name them: paths and single settings, the rest as in the default config."""

from collections.abc import Sequence
from typing import Any

from apps.sentiment import config, data, dataset
from shared import splits
from tests import helpers

# What ``data.load`` takes beside the settings.
BESIDE = ("class_names", "code", "labelled", "quarantine")


def load(specs: Sequence[str], **options: Any) -> dataset.Reviews:
    """Read sources; ``options`` are settings, or what ``data.load`` takes beside them."""
    beside = {name: options.pop(name) for name in BESIDE if name in options}
    return data.load(helpers.settings(config.Config, data=specs, **options), **beside)


def split(reviews: dataset.Reviews, **options: Any) -> tuple[splits.Split, dict[str, Any]]:
    """Split a dataset; ``options`` are settings, ``fractions`` those of train, validation and test."""
    return data.split(reviews, helpers.settings(config.Config, **{"fractions": (0.8, 0.1, 0.1)} | options))
