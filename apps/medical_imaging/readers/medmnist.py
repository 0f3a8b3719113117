"""MedMNIST (Yang et al. 2023): an ``.npz`` of images and labels in three official parts; sets that are fetched by name.

Nothing is downloaded unless a source names such a set. A file is fetched once, checked, and kept in a folder of the
user's cache; an interrupted download goes on where it stopped. Of sets that a person must ask for, a message names
where, and how they must lie.
"""

import http.client
import logging
import math
import os
import pathlib
import urllib.error
import urllib.request
import zipfile
import zlib
from typing import Any, NamedTuple

import numpy as np
import pooch
from numpy.typing import NDArray

from apps.medical_imaging import readers
from shared import errors, progress
from shared.sources import unpacking

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


log = logging.getLogger("fieldnets")
MEDMNIST = "https://zenodo.org/records/10519652/files"
NOTICE = "MedMNIST v2 (Yang et al. 2023, https://doi.org/10.1038/s41597-022-01721-8), not for clinical use; licence"
_CC_BY, _CC_BY_NC = "CC BY 4.0", "CC BY-NC 4.0 (no commercial use)"
_ATTEMPTS = 3
_TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20
_FAILURES = (OSError, http.client.HTTPException)
# What must be asked for, or accepted, by a person.
BY_HAND = {
    "kermany": "https://doi.org/10.17632/rscbjbr9sj; unpacked, it is a folder with train and test, each with "
    "NORMAL and PNEUMONIA",
    "nih": "https://nihcc.app.box.com/v/ChestXray-NIHCC; a folder with Data_Entry_2017*.csv, train_val_list.txt, "
    "test_list.txt and the images anywhere below",
    "chexpert": "https://stanfordmlgroup.github.io/competitions/chexpert; the folder with train.csv and valid.csv",
}


def read(path: pathlib.Path, *, options: readers.Options) -> readers.Source:
    """Read all parts of the file.

    Raises:
        errors.InputError: It is no MedMNIST file.
    """
    arrays = _arrays(path)
    stem = path.stem.split("_")[0].lower()
    found: list[readers.Entry] = []
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
            entry = readers.Entry(
                name=f"{prefix}_images[{row}]", item=image, file=f"{path}, {prefix}_images", row=row + 1, part=part
            )
            found.append(_labelled(entry, None if labels is None else labels[row], CLASSES.get(stem, ())))
    known = several == len(readers.NIH_FINDINGS)
    names = readers.NIH_FINDINGS if known else tuple(f"finding {place}" for place in range(several))
    return readers.Source(name=path.stem, entries=found, findings=names, class_order=CLASSES.get(stem, ()))


def _labelled(entry: readers.Entry, row: NDArray[Any] | None, names: tuple[str, ...]) -> readers.Entry:
    if row is None:
        return entry
    values = tuple(float(value) for value in row)
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
            unpacking.check_zip(archive.zip, where=str(path))
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


class PublicFile(NamedTuple):
    """A file that anybody may download: its MD5 as its publisher states it, and its licence."""

    md5: str
    licence: str


# Names without ".npz"; a number is the side in pixels, 28 where there is none.
PUBLIC = {
    "pneumoniamnist": PublicFile("28209eda62fecd6e6a2d98b1501bb15f", _CC_BY),
    "pneumoniamnist_64": PublicFile("8f4eceb4ccffa70c672198ea285246c6", _CC_BY),
    "pneumoniamnist_128": PublicFile("05b46931834c231683c68f40c47b2971", _CC_BY),
    "pneumoniamnist_224": PublicFile("d6a3c71de1b945ea11211b03746c1fe1", _CC_BY),
    "chestmnist": PublicFile("02c8a6516a18b556561a56cbdd36c4a8", _CC_BY),
    "chestmnist_64": PublicFile("9de6cd0b934ebb5b7426cfba5efbae16", _CC_BY),
    "chestmnist_128": PublicFile("db107e5590b27930b62dbaf558aebee3", _CC_BY),
    "chestmnist_224": PublicFile("45bd33e6f06c3e8cdb481c74a89152aa", _CC_BY),
    "breastmnist": PublicFile("750601b1f35ba3300ea97c75c52ff8f6", _CC_BY),
    "breastmnist_64": PublicFile("742edef2a1fd1524b2efff4bd7ba9364", _CC_BY),
    "breastmnist_128": PublicFile("363e4b3f8d712e9b5de15470a2aaadf1", _CC_BY),
    "breastmnist_224": PublicFile("b56378a6eefa9fed602bb16d192d4c8b", _CC_BY),
    "bloodmnist": PublicFile("7053d0359d879ad8a5505303e11de1dc", _CC_BY),
    "dermamnist": PublicFile("0744692d530f8e62ec473284d019b0c7", _CC_BY_NC),
    "retinamnist": PublicFile("bd4c0672f1bba3e3a89f0e4e876791e4", _CC_BY),
}


def cache_folder() -> pathlib.Path:
    """Return where files are kept: ``FIELDNETS_CACHE``, or else the user's cache folder."""
    return pathlib.Path(os.environ.get("FIELDNETS_CACHE") or pooch.os_cache("fieldnets"))


def fetch(name: str, *, site: str = MEDMNIST) -> pathlib.Path:
    """Return the file of a public set, downloaded if it is not there yet.

    Args:
        name: One of ``FILES``, or of ``BY_HAND``, which only leads to a message.
        site: Address of the folder that holds the files.

    Raises:
        errors.InputError: The name is neither, the file cannot be downloaded, or it is not the published one.
    """
    if name in BY_HAND:
        raise errors.InputError(
            f"{name}: expected the path of a copy that you obtained. Get it from {BY_HAND[name]}. "
            "Then give that folder as --data. Received: its name"
        )
    if name not in PUBLIC:
        raise errors.InputError(f"Expected a public set: {', '.join([*PUBLIC, *BY_HAND])}. Received: {name!r}")
    log.info("%s: %s %s", name, NOTICE, PUBLIC[name].licence)
    return _retrieve(name, f"{site}/{name}.npz", cache_folder() / f"{name}.npz")


def _retrieve(name: str, address: str, target: pathlib.Path) -> pathlib.Path:
    pooch.get_logger().setLevel(logging.ERROR)  # it would log twice what is logged here
    md5 = PUBLIC[name].md5
    downloader = _Resuming(target.with_name(f"{target.name}.part"))
    try:
        pooch.retrieve(address, f"md5:{md5}", fname=target.name, path=target.parent, downloader=downloader)
    except (*_FAILURES, ValueError) as error:
        reason = "a file with another MD5" if isinstance(error, ValueError) else str(error) or type(error).__name__
        raise errors.InputError(
            f"{name}: expected to download {address}. Without a connection, place that file (MD5 {md5}) at {target}, "
            f"or give its path as --data. Received: {reason}"
        ) from None
    return target


class _Resuming:
    """A downloader for pooch that keeps what arrived in a file of its own, and asks only for the rest.

    Pooch then checks the whole: a part of another version of the file does not survive.
    """

    def __init__(self, part: pathlib.Path) -> None:
        self.part = part

    def __call__(self, address: str, output: str, _pooch: object) -> None:
        """Write what is at ``address`` to ``output``."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._go_on(address)
                break
            except _FAILURES as error:
                if attempt == _ATTEMPTS or isinstance(error, urllib.error.HTTPError):
                    raise
        self.part.replace(output)

    def _go_on(self, address: str) -> None:
        have = self.part.stat().st_size if self.part.exists() else 0
        request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
                self._append(answer, have if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0)
        except urllib.error.HTTPError as error:
            error.close()
            # Nothing is left to send: all of it has come, or more, which the check refuses.
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
                raise

    def _append(self, answer: http.client.HTTPResponse, have: int) -> None:
        expected = have + int(answer.headers.get("Content-Length") or 0)
        with progress.counter() as bar, self.part.open("ab" if have else "wb") as stream:
            task = bar.add_task(f"{self.part.stem} (MB)", total=expected / 1e6)
            while block := answer.read(_BLOCK_BYTES):
                have += stream.write(block)
                bar.update(task, completed=have / 1e6)
        if have < expected:
            raise ConnectionError(f"the connection ended {expected - have:,} bytes early; the next call goes on there")
