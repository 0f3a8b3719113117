"""Small files that unpack to more than any data set needs are refused by one error, with little memory and time."""

import bz2
import functools
import gzip
import io
import lzma
import pathlib
import tarfile
import zipfile
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from apps.medical_imaging.readers import medmnist
from shared import errors
from shared.sources import folders, tables, unpacking

SAID = rf"unpacks to at most .* \({unpacking.LIMIT}=N allows N GiB\)"
# More than is free in these tests, and some kilobytes when packed.
FREE_BYTES = 1 << 20
BLOCKS, BLOCK = 40, b"a,b\n" * (1 << 16)


def written(opened: IO[bytes] | gzip.GzipFile) -> None:
    with opened as stream:
        for _ in range(BLOCKS):
            stream.write(BLOCK)


def zstd(path: pathlib.Path) -> Any:
    return pyarrow.output_stream(str(path), compression="zstd")


OPENERS: dict[str, Callable[[pathlib.Path], Any]] = {
    ".gz": functools.partial(gzip.open, mode="wb", compresslevel=1),
    ".bz2": functools.partial(bz2.open, mode="wb", compresslevel=1),
    ".xz": functools.partial(lzma.open, mode="wb", preset=0),
    ".zst": zstd,
}


@pytest.fixture(autouse=True)
def _little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "FREE_BYTES", FREE_BYTES)


@pytest.mark.parametrize("suffix", OPENERS)
def test_a_packed_table_is_read_up_to_the_limit(
    tmp_path: pathlib.Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"table.csv{suffix}"
    with OPENERS[suffix](path) as stream:
        stream.write(b"a,b\n" + b"1,2\n" * 50_000)
    assert len(tables.read(path)) == 50_000
    monkeypatch.setattr(unpacking, "FREE_BYTES", 1_000)
    monkeypatch.setattr(unpacking, "RATIO", 2)
    with pytest.raises(errors.InputError, match=SAID):
        tables.read(path)
    monkeypatch.setenv(unpacking.LIMIT, "1")
    assert len(tables.read(path)) == 50_000


def test_a_gzip_bomb_ends_at_the_limit(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    written(gzip.GzipFile(path, "wb", compresslevel=9))
    assert path.stat().st_size * unpacking.RATIO < BLOCKS * len(BLOCK)
    with folders.entries(path, name="bomb") as found, found.entries[0].opener() as stream:
        assert len(stream.read(1 << 19)) == 1 << 19
        with pytest.raises(errors.InputError, match=SAID):
            stream.read()


def test_a_zip_bomb_is_refused_before_it_is_opened(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.txt", BLOCK * 10)
    with pytest.raises(errors.InputError, match=SAID), folders.entries(path, name="bomb"):
        pass


def test_a_sparse_tar_is_refused_before_it_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bomb.tar"
    header = tarfile.TarInfo("huge.txt")
    header.size = 20 << 30
    path.write_bytes(header.tobuf() + b"\0" * 1024)
    for packed in (path, tmp_path / "bomb.tar.gz"):
        if packed != path:
            packed.write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(errors.InputError, match=SAID), folders.entries(packed, name="bomb"):
            pass


def test_a_packed_member_of_an_archive_is_bounded_too(tmp_path: pathlib.Path) -> None:
    inner = io.BytesIO()
    written(gzip.GzipFile(fileobj=inner, mode="wb", compresslevel=9))
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.txt.gz", inner.getvalue())
    with folders.entries(path, name="outer") as found, pytest.raises(errors.InputError, match=rf"inner.*{SAID}"):
        found.entries[0].opener()


def test_an_npz_bomb_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, train_images=np.zeros(FREE_BYTES + 1, np.uint8))
    with pytest.raises(errors.InputError, match=SAID):
        medmnist._arrays(path)


def test_a_parquet_file_of_many_equal_cells_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bomb.parquet"
    group = pyarrow.table({"a": pyarrow.DictionaryArray.from_arrays(np.zeros(1 << 17, np.int8), ["x"])})
    with pyarrow.parquet.ParquetWriter(path, group.schema) as writer:
        for _ in range(9):
            writer.write_table(group, row_group_size=1 << 17)
    assert path.stat().st_size < 5_000
    with pytest.raises(errors.InputError, match=SAID):
        tables.read(path)


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5", "²", "9999999"])
def test_the_limit_is_a_whole_number_of_gibibytes(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(unpacking.LIMIT, given)
    with pytest.raises(errors.InputError, match=unpacking.LIMIT):
        unpacking.allowed(10)


@pytest.mark.parametrize("suffix", OPENERS)
def test_a_packed_table_that_is_damaged_is_an_error_that_names_the_file(tmp_path: pathlib.Path, suffix: str) -> None:
    path = tmp_path / f"table.csv{suffix}"
    with OPENERS[suffix](path) as stream:
        stream.write(b"a,b\n" + b"1,2\n" * 50_000)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:20] + bytes(reversed(whole[20:])), whole[:-9]):
        path.write_bytes(damaged)
        with pytest.raises(errors.InputError, match=path.name):
            tables.read(path)


def test_a_packed_tar_that_is_cut_off_is_an_error_that_names_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "texts.tar.gz"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        about = tarfile.TarInfo("good/1.txt")
        about.size = 4
        tar.addfile(about, io.BytesIO(b"good"))
    path.write_bytes(packed.getvalue()[:30])
    with (
        folders.entries(path, name="texts") as found,
        pytest.raises(errors.InputError, match=r"texts\.tar\.gz: expected"),
    ):
        found.entries[0].opener().read()


def test_what_pandas_wrote_beside_the_columns_of_a_parquet_file_may_be_damaged(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "table.parquet"
    table = pyarrow.table({"a": [1, 2]}).replace_schema_metadata({b"pandas": b"{no JSON"})
    pyarrow.parquet.write_table(table, path)
    assert tables.read(path)["a"].tolist() == [1, 2]


def test_a_zip_whose_files_have_no_names_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "texts.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good/1.txt", "good")
        archive.writestr(zipfile.ZipInfo(""), "bad")
    said = r"texts\.zip: expected an archive whose files have names"
    with pytest.raises(errors.InputError, match=said), folders.entries(path, name="texts"):
        pass
