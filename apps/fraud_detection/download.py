"""Public data sets by name: fetched once and kept in a folder of the user's cache.

Nothing is downloaded unless a source names such a set. Of sets for which a person must sign in, a message says where
they are and how they must lie. No checksum of these files is known to us to be published: the SHA-256 of the first
download is written beside the file, and each later use is checked against it. That guards against a file that changes,
not against one that was wrong from the beginning; the report names the SHA-256 of what was read.
"""

import http.client
import logging
import os
import pathlib
import shutil
import urllib.error
import urllib.request
from typing import NamedTuple

import pooch

from shared import errors, files

log = logging.getLogger("fieldnets")

OPENML = "https://data.openml.org"
_TIMEOUT_SECONDS = 30.0
_FAILURES = (OSError, http.client.HTTPException)


class PublicFile(NamedTuple):
    """A file that anybody may download.

    Attributes:
        path: Below the site.
        file: Its name in the cache.
        sha256: As its publisher states it; empty where none does.
        notice: Source and licence.
    """

    path: str
    file: str
    sha256: str
    notice: str


FILES = {
    "creditcard": PublicFile(
        "datasets/0000/1597/dataset_1597.pq",
        "creditcard.parquet",
        "",
        "ULB and Worldline card transactions of September 2013 (Dal Pozzolo et al. 2015), OpenML 1597; "
        "licence Open Database License, contents DbCL 1.0",
    ),
}

# What a person must sign in for, and what must then lie in the cache folder or anywhere else.
BY_HAND = {
    "handbook": "https://github.com/Fraud-Detection-Handbook/simulated-data-transformed; its daily pickles, converted "
    "to parquet in one folder (data/card-simulator/README.md says how); card-simulator generates the like of it",
    "paysim": "https://www.kaggle.com/datasets/ealaxi/paysim1; a csv with step, type, amount, nameOrig, nameDest "
    "and isFraud",
    "ieee-cis": "https://www.kaggle.com/competitions/ieee-fraud-detection; a folder with train_transaction.csv and "
    "train_identity.csv",
    "baf": "https://www.kaggle.com/datasets/sgpjesus/bank-account-fraud-dataset-neurips-2022; Base.csv or one of its "
    "variants",
}
_SUFFIXES = ("", ".csv", ".csv.gz", ".parquet")


def cache_folder() -> pathlib.Path:
    """Return where files are kept: ``FIELDNETS_CACHE``, or else the user's cache folder."""
    return pathlib.Path(os.environ.get("FIELDNETS_CACHE") or pooch.os_cache("fieldnets"))


def fetch(name: str, *, site: str = OPENML) -> pathlib.Path:
    """Return the file or folder of a public set, downloaded if it is not there yet.

    Args:
        name: One of ``FILES``, or of ``BY_HAND``, which is only looked for in the cache folder.
        site: Address below which the files lie.

    Raises:
        errors.InputError: The name is neither, the set is not there and cannot be downloaded, or its file has changed.
    """
    if name in BY_HAND:
        return _placed(name)
    if name not in FILES:
        raise errors.InputError(f"Expected a public set: {', '.join([*FILES, *BY_HAND])}. Received: {name!r}")
    public = FILES[name]
    log.info("%s: %s", name, public.notice)
    target = cache_folder() / public.file
    if not target.exists():
        _download(name, f"{site}/{public.path}", target)
    _check(name, target, public.sha256)
    return target


def _placed(name: str) -> pathlib.Path:
    for suffix in _SUFFIXES:
        path = cache_folder() / f"{name}{suffix}"
        if path.exists():
            return path
    raise errors.InputError(
        f"{name}: expected a copy that you obtained. Get it from {BY_HAND[name]}. Then give its path as --data, or "
        f"place it at {cache_folder() / name} (a folder, or with .csv, .csv.gz or .parquet). Received: its name alone"
    )


def _download(name: str, address: str, target: pathlib.Path) -> None:
    try:
        with files.atomic(target) as part, urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:
            with part.open("wb") as stream:
                shutil.copyfileobj(response, stream)
            _refuse_short(part, int(response.headers.get("Content-Length") or 0))
    except _FAILURES as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise errors.InputError(
            f"{name}: expected to download {address}. Without a connection, place that file at {target}, or give its "
            f"path as --data. Received: {error or type(error).__name__}"
        ) from None


def _refuse_short(part: pathlib.Path, expected: int) -> None:
    missing = expected - part.stat().st_size
    if missing > 0:
        raise ConnectionError(f"the connection ended {missing:,} bytes early")


def _check(name: str, target: pathlib.Path, published: str) -> None:
    """Compare a file with its published SHA-256, or with the one that its first use recorded beside it."""
    found, record = files.sha256(target), target.with_name(f"{target.name}.sha256")
    if not published and not record.exists():
        files.write_text(record, f"{found}  {target.name}\n")
        log.info("%s: SHA-256 %s recorded in %s", name, found, record)
        return
    expected = published or record.read_text(encoding="utf-8").split(" ")[0].strip()
    if found != expected:
        raise errors.InputError(
            f"{target}: expected the file of {name} with SHA-256 {expected}. Received: one with {found}. Remove "
            f"{target.name}{'' if published else f' and {record.name}'} to download it again"
        )
