"""MedMNIST (Yang et al. 2023): an ``.npz`` of images and labels in three official parts."""

import math
import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.medical_imaging.readers import entries, findings
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
    # Grades of retinopathy.
    "retinamnist": ("0", "1", "2", "3", "4"),
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast", "immature granulocyte", "lymphocyte", "monocyte", "neutrophil"),
        "platelet",
    ),
}


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
        if images is None or not images.size:
            continue
        if images.ndim not in (3, 4):
            raise errors.InputError(
                f"{path}, {prefix}_images: expected (images, height, width) or (images, height, width, channels). "
                f"Received: {images.shape}"
            )
        labels = _labels(arrays, prefix, len(images), path, labelled=options.labelled)
        several = max(several, 0 if labels is None or labels.shape[1] == 1 else labels.shape[1])
        for row, image in enumerate(images):
            said = None if labels is None else labels[row]
            entry = entries.Entry(
                name=f"{prefix}_images[{row}]", item=image, file=f"{path}, {prefix}_images", row=row + 1, part=part
            )
            found.append(_labelled(entry, said, CLASSES.get(stem, ())))
    names = findings.NIH if several == len(findings.NIH) else tuple(f"finding {place}" for place in range(several))
    return entries.Source(name=path.stem, entries=found, findings=names, class_order=CLASSES.get(stem, ()))


def _labelled(entry: entries.Entry, said: NDArray[Any] | None, names: tuple[str, ...]) -> entries.Entry:
    if said is None:
        return entry
    values = tuple(float(value) for value in said)
    if len(values) > 1:
        wrong = [value for value in values if value not in (0, 1) and not math.isnan(value)]
        return entry._replace(findings=values, problem=f"a finding is {wrong[0]:g}, not 1, 0 or NaN" if wrong else "")
    if math.isnan(values[0]):
        return entry
    if not values[0].is_integer() or not 0 <= values[0] < (len(names) or math.inf):
        last = f" up to {len(names) - 1}" if names else ""
        return entry._replace(problem=f"the label {values[0]:g} is no class, which are numbered from 0{last}")
    return entry._replace(label=names[int(values[0])] if names else str(int(values[0])))


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
    fits = labels is not None and labels.dtype.kind in "biuf" and labels.shape[:1] == (rows,) and labels.size
    if labels is None or not fits:
        received = "none" if labels is None else f"an array of {labels.dtype}, shape {labels.shape}"
        raise errors.InputError(
            f"{path}, {prefix}_labels: expected a number for each of {rows} images. Received: {received}"
        )
    return labels.reshape(rows, -1)
