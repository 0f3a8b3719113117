"""Files of a folder, a zip, a tar or alone are listed and opened alike."""

import gzip
import pathlib
import tarfile
import zipfile

import pytest

from shared import errors
from shared.sources import folders

CONTENT = {"train/10.txt": b"ten", "train/9.txt": b"nine", "table.csv": b"a,b\n"}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for name, content in CONTENT.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "folder" / "__MACOSX").mkdir()
    (tmp_path / "folder" / "__MACOSX" / "._9.txt").write_bytes(b"no data")
    return tmp_path / "folder"


def read(path: pathlib.Path) -> dict[str, bytes]:
    found = {}
    with folders.entries(path, name=path.name) as (entries, _):
        for entry in entries:
            with entry.opener() as stream:
                found[entry.name] = stream.read()
    return found


def test_a_folder_a_zip_and_a_tar_of_it_hold_the_same_files(folder: pathlib.Path) -> None:
    with (
        zipfile.ZipFile(folder.parent / "a.zip", "w") as packed,
        tarfile.open(folder.parent / "a.tar.gz", "w:gz") as tar,
    ):
        for path in sorted(folder.rglob("*.*")):
            packed.write(path, path.relative_to(folder))
            tar.add(path, path.relative_to(folder))
    assert read(folder) == read(folder.parent / "a.zip") == read(folder.parent / "a.tar.gz") == CONTENT
    assert list(read(folder)) == ["table.csv", "train/9.txt", "train/10.txt"]
    assert folders.is_archive(folder.parent / "a.zip")
    assert not folders.is_archive(folder / "table.csv")


def test_a_gzipped_file_is_opened_unpacked_and_its_suffix_is_that_of_its_content(tmp_path: pathlib.Path) -> None:
    (tmp_path / "A.CSV.gz").write_bytes(gzip.compress(b"a,b\n"))
    assert read(tmp_path / "A.CSV.gz") == {"A.CSV.gz": b"a,b\n"}
    with folders.entries(tmp_path / "A.CSV.gz", name="A.CSV.gz") as (entries, _):
        assert entries[0].suffix == ".csv"


def test_a_file_that_two_names_of_a_folder_lead_to_is_refused(folder: pathlib.Path) -> None:
    (folder / "train" / "again.txt").symlink_to(folder / "train" / "9.txt")
    with (
        folders.entries(folder, name="folder") as (entries, _),
        pytest.raises(errors.InputError, match="each file once"),
    ):
        folders.refuse_twice(folder, entries)
