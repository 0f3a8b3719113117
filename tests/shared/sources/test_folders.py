"""Folders are listed whole: links are followed inside, refused where they lead out, and never walked in a circle."""

import pathlib

import pytest

from shared import errors
from shared.sources import folders


def place(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def names(found: folders.Listing, folder: pathlib.Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found.files]


def test_all_files_but_hidden_ones_are_listed_in_order(tmp_path: pathlib.Path) -> None:
    place(tmp_path, "b/2.png", "a.csv", "b/.hidden", ".git/x", "__MACOSX/y", "b/c/1.png")
    found = folders.listing(tmp_path)
    assert names(found, tmp_path) == ["a.csv", "b/2.png", "b/c/1.png"]
    assert found.notes == ()


def test_a_link_inside_the_folder_is_followed(tmp_path: pathlib.Path) -> None:
    place(tmp_path, "source/store/1.png")
    (tmp_path / "source/test").symlink_to("store")
    (tmp_path / "source/2.png").symlink_to("store/1.png")
    found = folders.listing(tmp_path / "source")
    assert names(found, tmp_path / "source") == ["2.png", "store/1.png", "test/1.png"]


@pytest.mark.parametrize("name", ["linked", "linked.png"])
def test_a_link_out_of_the_folder_is_an_error_that_names_it_and_the_option(tmp_path: pathlib.Path, name: str) -> None:
    place(tmp_path, "store/1.png", "source/2.png")
    (tmp_path / "source" / name).symlink_to(tmp_path / "store" / ("1.png" if name.endswith("png") else ""))
    with pytest.raises(errors.InputError, match=rf"--follow-links.*{name} -> "):
        folders.listing(tmp_path / "source")
    found = folders.listing(tmp_path / "source", follow_links=True)
    assert len(found.files) == 2
    assert f"{name} -> " in " ".join(found.notes)


def test_circles_end_and_are_named(tmp_path: pathlib.Path) -> None:
    place(tmp_path, "source/a/1.png")
    (tmp_path / "source/a/up").symlink_to(tmp_path / "source")
    (tmp_path / "source/self").symlink_to("self")
    found = folders.listing(tmp_path / "source")
    assert names(found, tmp_path / "source") == ["a/1.png"]
    assert any("lead back" in note and "a/up" in note for note in found.notes)
    assert any("does not exist" in note and "self" in note for note in found.notes)


def test_a_source_that_is_itself_a_link_is_a_folder_like_another(tmp_path: pathlib.Path) -> None:
    place(tmp_path, "real/1.png")
    (tmp_path / "source").symlink_to("real")
    assert names(folders.listing(tmp_path / "source"), tmp_path / "source") == ["1.png"]


def test_links_within_a_linked_folder_are_no_second_error(tmp_path: pathlib.Path) -> None:
    place(tmp_path, "store/real/1.png", "source/2.png")
    (tmp_path / "store/again").symlink_to("real")
    (tmp_path / "source/linked").symlink_to(tmp_path / "store")
    found = folders.listing(tmp_path / "source", follow_links=True)
    assert names(found, tmp_path / "source") == ["2.png", "linked/again/1.png", "linked/real/1.png"]
    assert sum("out of the folder" in note for note in found.notes) == 1
    assert "again" not in " ".join(found.notes)
