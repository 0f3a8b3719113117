"""What a config means for a source: read it, split it. No TensorFlow here."""

import pathlib
from typing import Any, cast

from apps.medical_imaging import config, data
from shared import splits
from shared.sources import cells


def load_source(
    settings: config.Config,
    *,
    class_names: tuple[str, ...] | None = None,
    labelled: bool = True,
    quarantine: pathlib.Path | None = None,
    grey_bits: int | None = None,
    decodes: data.Decodes | None = None,
    decode: bool | None = None,
) -> data.Radiographs:
    """Read the source that ``settings`` name.

    Args:
        settings: The source and how to read it.
        class_names: Those of the run that is judged; None reads them from the data.
        labelled: Whether the images need labels.
        quarantine: Where bad images are listed when ``settings.skip_bad``.
        grey_bits: How many bits of 16-bit images the run that is judged uses; None: what ``settings`` or the data say.
        decodes: The network's own decoder: what it refuses is bad.
        decode: Whether every file is decoded, to see whether it is whole; None: where bad ones are set aside.
    """
    return data.load(
        settings.data,
        data_format=settings.data_format,
        image_column=settings.image_column,
        label_columns=settings.label_columns,
        patient_column=settings.patient_column,
        uncertain=settings.uncertain,
        skip_bad=settings.skip_bad,
        quarantine=quarantine,
        class_names=class_names,
        labelled=labelled,
        phantoms=data.PhantomSettings(
            patients=settings.phantom_patients, confounder=settings.phantom_confounder, seed=settings.seed
        ),
        follow_links=settings.follow_links,
        decimal=cast("cells.Decimal", settings.decimal),
        parts=settings.split_file is None,
        grey_bits=grey_bits or settings.grey_bits,
        decodes=decodes,
        decode=decode,
    )


def split_source(radiographs: data.Radiographs, settings: config.Config) -> tuple[splits.Split, dict[str, Any]]:
    """Split as ``settings`` say; return the split and its certificate."""
    return data.split(
        radiographs,
        fractions=settings.fractions,
        seed=settings.seed,
        near_duplicate_distance=settings.near_duplicate_distance,
        split_file=None if settings.split_file is None else pathlib.Path(settings.split_file),
    )
