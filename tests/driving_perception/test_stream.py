import pathlib

import cv2
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.driving_perception.tracking import stream, video
from shared import errors


def image(path: pathlib.Path, grey: int = 0) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(np.full((6, 8, 3), grey, np.uint8)).save(path)
    return path


def film(path: pathlib.Path, count: int = 5) -> pathlib.Path:
    with video.Writer(path, frames_per_second=10) as writer:
        for number in range(count):
            writer.write(np.full((32, 48, 3), number, np.uint8))
    return path


def everything(
    *paths: pathlib.Path, chunk_rows: int = 4, rate: float | None = None
) -> tuple[pd.DataFrame, list[stream.Item]]:
    chunks = list(stream.iterate(paths, chunk_rows=chunk_rows, frames_per_second=rate))
    return pd.concat([frame for frame, _ in chunks], ignore_index=True), [item for _, part in chunks for item in part]


def test_images_folders_and_videos_come_in_one_order_with_where_they_are_from(tmp_path: pathlib.Path) -> None:
    for name in ("drive/10.png", "drive/9.jpg", "drive/deep/1.PNG", "other/1.png"):
        image(tmp_path / name)
    film(tmp_path / "drive" / "clip.mp4", count=3)
    table, items = everything(tmp_path / "other" / "1.png", tmp_path / "drive")
    below = [str(pathlib.Path(file).relative_to(tmp_path)) for file in table["file"]]
    clip = "drive/clip.mp4"
    assert below == ["other/1.png", "drive/9.jpg", "drive/10.png", clip, clip, clip, "drive/deep/1.PNG"]
    assert table["frame"].tolist() == [0, 0, 0, 0, 1, 2, 0]
    assert table["seconds"].tolist() == pytest.approx([np.nan] * 3 + [0, 0.1, 0.2, np.nan], nan_ok=True)
    assert table["clip"].tolist() == ["", "", "", *[str(tmp_path / clip)] * 3, ""]
    assert items[1] == (tmp_path / "drive" / "9.jpg").read_bytes()
    assert [item.shape for item in items if not isinstance(item, bytes)] == [(32, 48, 3)] * 3
    assert {item.dtype for item in items if not isinstance(item, bytes)} == {np.dtype(np.uint8)}


@given(st.integers(1, 9))
def test_the_chunk_size_changes_nothing_and_is_never_passed(tmp_path: pathlib.Path, chunk_rows: int) -> None:
    folder = tmp_path / "drive"
    if not folder.exists():
        for number in range(5):
            image(folder / f"{number}.png", number)
        film(folder / "clip.avi", count=4)
    sizes = [len(items) for _, items in stream.iterate([folder], chunk_rows=chunk_rows)]
    assert sizes == [chunk_rows] * (9 // chunk_rows) + ([9 % chunk_rows] if 9 % chunk_rows else [])
    table, items = everything(folder, chunk_rows=chunk_rows)
    expected, pictures = everything(folder, chunk_rows=100)
    pd.testing.assert_frame_equal(table, expected)
    assert all(np.array_equal(one, other) for one, other in zip(items, pictures, strict=True))


def test_a_long_video_is_decoded_only_as_far_as_it_is_asked_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "long.avi", count=60)
    decoded = []
    real = cv2.VideoCapture

    class Counted:
        def __init__(self, *given: object) -> None:
            self._capture = real(*given)

        def read(self) -> tuple[bool, np.ndarray]:
            decoded.append(1)
            return self._capture.read()

        def __getattr__(self, name: str) -> object:
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Counted)
    chunks = stream.iterate([tmp_path / "long.avi"], chunk_rows=5)
    next(chunks)
    assert len(decoded) == 5
    next(chunks)
    assert len(decoded) == 10


def test_images_at_a_rate_are_the_frames_of_their_folder(tmp_path: pathlib.Path) -> None:
    for name in ("a/frame2.png", "a/frame10.png", "b/0.png", "b/1.png", "b/2.png"):
        image(tmp_path / name)
    table, _ = everything(tmp_path, rate=5)
    assert [pathlib.Path(file).name for file in table["file"]][:2] == ["frame2.png", "frame10.png"]
    assert table["clip"].tolist() == [str(tmp_path / "a")] * 2 + [str(tmp_path / "b")] * 3
    assert table["frame"].tolist() == [0, 1, 0, 1, 2]
    assert table["seconds"].tolist() == pytest.approx([0, 1.6, 0, 0.2, 0.4]), "frames 2 and 10 are eight steps apart"
    # As a shell spells them out: the frames go on from one path to the next.
    spelled, _ = everything(*(pathlib.Path(file) for file in table["file"]), rate=5)
    pd.testing.assert_frame_equal(spelled, table)


def test_names_that_differ_by_leading_zeros_only_have_an_order(tmp_path: pathlib.Path) -> None:
    for name in ("1.png", "01.png", "001.png", "2.png"):
        image(tmp_path / name)
    names = [path.name for path in stream.find([tmp_path]).files]
    assert names == ["001.png", "01.png", "1.png", "2.png"]


@given(st.lists(st.text("ab019²٣", min_size=1, max_size=5), min_size=2, max_size=6, unique=True))
def test_any_names_have_one_order(names: list[str]) -> None:
    paths = [pathlib.Path("drive", f"{name}.png") for name in names]
    order = sorted(paths, key=stream._order)
    assert sorted(reversed(paths), key=stream._order) == order


def test_what_a_data_set_has_beside_its_images_is_passed_over(tmp_path: pathlib.Path) -> None:
    image(tmp_path / "images" / "0.png")
    image(tmp_path / ".cache" / "thumb.png")
    image(tmp_path / "images" / "._0.png")
    for name in ("annotations.json", "labels/0.txt", "annotations/0.xml", "boxes.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "folder.png").mkdir()
    table, _ = everything(tmp_path)
    assert table["file"].tolist() == [str(tmp_path / "images" / "0.png")]


def test_a_broken_image_is_passed_on_so_that_it_gets_an_answer(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff and then nothing")
    (tmp_path / "empty.png").write_bytes(b"")
    _, items = everything(tmp_path)
    assert items == [b"\xff\xd8\xff and then nothing", b""]


def test_a_broken_video_is_refused_by_its_name(tmp_path: pathlib.Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(errors.InputError, match=r"broken\.mp4: expected a video that can be decoded"):
        everything(tmp_path)


def test_inputs_that_cannot_be_meant_are_refused_before_anything_is_read(tmp_path: pathlib.Path) -> None:
    good = image(tmp_path / "good" / "0.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    wrong = {"gone": "a path that does not exist", "notes.txt": "another file", "empty": "a folder without any"}
    for name, received in wrong.items():
        chunks = stream.iterate([good, tmp_path / name], chunk_rows=1)
        with pytest.raises(errors.InputError, match=f"{name}: expected an image .* Received: {received}"):
            next(chunks)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(tmp_path: pathlib.Path, rate: float) -> None:
    with pytest.raises(errors.InputError, match="frames per second: expected a number above 0"):
        everything(image(tmp_path / "0.png"), rate=rate)
