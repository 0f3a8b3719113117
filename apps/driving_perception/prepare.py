"""What a config means for a source: read it, split it. No TensorFlow here."""

import pathlib
from typing import Any, cast

from apps.driving_perception import config, data, frames
from shared import splits
from shared.sources import cells


def load_source(
    settings: config.Config,
    *,
    class_names: tuple[str, ...] | None = None,
    labelled: bool = True,
    quarantine: pathlib.Path | None = None,
) -> frames.Frames:
    """Read the source that ``settings`` name.

    Args:
        settings: The source and how to read it.
        class_names: Those of the run that is evaluated; None reads them from the data.
        labelled: Whether the images need labels.
        quarantine: Where bad boxes and images are listed when ``settings.skip_bad``.
    """
    return data.load(
        settings.data,
        data_format=settings.data_format,
        class_file=None if settings.class_file is None else pathlib.Path(settings.class_file),
        single_class=settings.single_class,
        skip_bad=settings.skip_bad,
        quarantine=quarantine,
        class_names=class_names,
        labelled=labelled,
        follow_links=settings.follow_links,
        decimal=cast(cells.Decimal, settings.decimal),
        scenes=data.SceneSettings(sequences=settings.scene_sequences, frames=settings.scene_frames, seed=settings.seed),
    )


def split_source(collection: frames.Frames, settings: config.Config) -> tuple[splits.Split, dict[str, Any]]:
    """Split as ``settings`` say; return the split and its certificate."""
    return data.split(
        collection,
        fractions=settings.fractions,
        seed=settings.seed,
        near_duplicate_distance=settings.near_duplicate_distance,
        block_frames=settings.block_frames,
        split_file=None if settings.split_file is None else pathlib.Path(settings.split_file),
    )
