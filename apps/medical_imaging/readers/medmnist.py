"""MedMNIST (Yang et al. 2023): an ``.npz`` of images and labels in three official parts."""

import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging.readers import entries, nih
from shared import errors

_PARTS = {"train": "train", "val": "validation", "test": "test"}
# What the numbers stand for, by the name of the file without its size; other sets keep the numbers.
CLASSES = {
    "pneumoniamnist": ("normal", "pneumonia"),
    "breastmnist": ("malignant", "normal or benign"),
    "dermamnist": (
        *("actinic keratosis", "basal cell carcinoma", "benign keratosis", "dermatofibroma", "melanoma"),
        *("melanocytic nevus", "vascular lesion"),
    ),
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte", "monocyte", "neutrophil"),
        "platelet",
    ),
}
_PATIENTS = "MedMNIST names no patients: each image counts as a patient of its own"


def read(path: pathlib.Path, *, options: entries.Options) -> entries.Source:
    """Read all parts of the file.

    Raises:
        errors.InputError: It is no MedMNIST file.
    """
    arrays = _arrays(path)
    stem = path.stem.split("_")[0].lower()
    found: list[entries.Entry] = []
    several = 0
    for prefix, part in _PARTS.items():
        images = arrays.get(f"{prefix}_images")
        if images is None:
            continue
        labels = _labels(arrays, prefix, len(images), path, labelled=options.labelled)
        several = max(several, 0 if labels is None or labels.shape[1] == 1 else labels.shape[1])
        for row, image in enumerate(images):
            said = None if labels is None else labels[row]
            entry = entries.Entry(
                name=f"{prefix}_images[{row}]", item=image, file=f"{path}, {prefix}_images", row=row + 1, part=part
            )
            found.append(_labelled(entry, said, CLASSES.get(stem, ())))
    names = nih.FINDINGS if several == len(nih.FINDINGS) else tuple(f"finding {place}" for place in range(several))
    return entries.Source(
        name=path.stem, entries=found, findings=names, class_order=CLASSES.get(stem, ()), notes=(_PATIENTS,)
    )


def _labelled(entry: entries.Entry, said: NDArray[Any] | None, names: tuple[str, ...]) -> entries.Entry:
    if said is None:
        return entry
    if len(said) > 1:
        return entry._replace(findings=tuple(float(value) for value in said))
    number = int(said[0])
    return entry._replace(label=names[number] if 0 <= number < len(names) else str(number))


def _arrays(path: pathlib.Path) -> dict[str, NDArray[Any]]:
    try:
        # NumPy leaves a broken file open when it is given the path.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise errors.InputError(f"{path}: expected an npz file that can be read. Received: {error}") from None
    if not any(f"{prefix}_images" in arrays for prefix in _PARTS):
        raise errors.InputError(
            f"{path}: expected the arrays train_images, train_labels and so on. Received: {', '.join(arrays) or 'none'}"
        )
    return arrays


def _labels(
    arrays: dict[str, NDArray[Any]], prefix: str, rows: int, path: pathlib.Path, *, labelled: bool
) -> NDArray[Any] | None:
    if not labelled:
        return None
    labels = arrays.get(f"{prefix}_labels")
    if labels is None or len(labels) != rows:
        received = "none" if labels is None else f"{len(labels)} labels"
        raise errors.InputError(
            f"{path}, {prefix}_labels: expected a label for each of {rows} images. Received: {received}"
        )
    return labels.reshape(rows, -1)
