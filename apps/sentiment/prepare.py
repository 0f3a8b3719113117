"""The first steps that every verb shares: read the source that the settings name, and split it."""

import pathlib
from typing import Any

import numpy as np

from apps.sentiment import config, data
from apps.sentiment.readers import labels
from shared import splits


def load_source(
    settings: config.Config,
    *,
    class_names: tuple[str, ...] | None = None,
    code: labels.Code | None = None,
    labelled: bool = True,
    quarantine: pathlib.Path | None = None,
) -> data.Reviews:
    """Read the source, and draw ``maximum_rows`` of it where that is set.

    Args:
        settings: Which source, and how to read it.
        class_names: Classes of a trained model, which the labels must mean.
        code: What labels mean in its run; without ``class_names`` for the run's own data.
        labelled: Whether labels are needed.
        quarantine: Where bad rows go with ``skip_bad``.
    """
    reviews = data.load(
        settings.data,
        data_format=settings.data_format,
        text_column=settings.text_column,
        label_column=settings.label_column,
        follow_links=settings.follow_links,
        label_code=settings.label_code,
        class_names=class_names,
        code=code,
        labelled=labelled,
        skip_bad=settings.skip_bad,
        quarantine=quarantine,
    )
    if settings.maximum_rows is None or len(reviews.texts) <= settings.maximum_rows:
        return reviews
    chosen = np.random.default_rng(settings.seed).choice(len(reviews.texts), settings.maximum_rows, replace=False)
    return data.take(reviews, np.sort(chosen))


def split_source(reviews: data.Reviews, settings: config.Config) -> tuple[splits.Split, dict[str, Any]]:
    """Split as ``settings`` say; return the split and its certificate."""
    return data.split(
        reviews,
        fractions=settings.fractions,
        seed=settings.seed,
        near_duplicate_threshold=settings.near_duplicate_threshold,
    )
