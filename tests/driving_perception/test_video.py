import pathlib
import struct
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import PIL.Image
import pytest

from apps.driving_perception.tracking import video
from shared import errors


def frame(number: int, *, width: int = 64, height: int = 48) -> np.ndarray:
    """Grey that grows lighter by the frame, with the upper left quarter red."""
    picture = np.full((height, width, 3), 15 * number, np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    return picture


def write(path: pathlib.Path, count: int = 8, **options: int) -> pathlib.Path:
    return write_all(path, (frame(number, **options) for number in range(count)))


def write_all(path: pathlib.Path, pictures: Iterable[np.ndarray]) -> pathlib.Path:
    with video.Writer(path, frames_per_second=10) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def interrupted() -> Iterator[np.ndarray]:
    yield frame(0)
    raise RuntimeError("killed")


def box_at(content: bytes, kind: bytes) -> int:
    """Return where an MP4 box begins: four bytes of size, then its kind."""
    return content.index(kind) - 4


@pytest.mark.parametrize("name", ["drive.mp4", "drive.AVI"])
def test_a_video_is_read_as_it_was_written(tmp_path: pathlib.Path, name: str) -> None:
    found = video.read(write(tmp_path / name))
    assert (found.frames_per_second, found.count, found.width, found.height) == (10, 8, 64, 48)
    assert video.rate(tmp_path / name) == 10
    seconds, pictures = zip(*found, strict=True)
    assert seconds == pytest.approx(np.arange(8) / 10)
    for number, picture in enumerate(pictures):
        # The codecs lose a little: compare what lies away from the edge of the red part.
        assert np.abs(picture[30:].astype(int) - frame(number)[30:]).max() < 12
        assert picture[8, 8].tolist() == pytest.approx([255, 0, 0], abs=12)
    assert tuple(when for when, _ in found) == seconds, "a second pass begins at the start"


def test_a_video_taken_on_its_side_is_turned_upright(tmp_path: pathlib.Path) -> None:
    content = bytearray(write(tmp_path / "drive.mp4").read_bytes())
    # The track header's matrix, 48 bytes behind its size and kind: a quarter turn clockwise.
    matrix = box_at(bytes(content), b"tkhd") + 48
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    found = video.read(tmp_path / "turned.mp4")
    assert (found.width, found.height) == (48, 64)
    _, picture = next(iter(found))
    assert picture.shape == (64, 48, 3)
    assert picture[8, 40].tolist() == pytest.approx([255, 0, 0], abs=12), "the upper left corner comes to the right"
    assert picture[8, 8].max() < 12


def test_times_are_those_of_the_file_where_frames_come_unevenly(tmp_path: pathlib.Path) -> None:
    content = write(tmp_path / "drive.mp4", count=6).read_bytes()
    table = box_at(content, b"stts")
    entries, frames, ticks = struct.unpack(">3I", content[table + 12 : table + 24])
    assert (entries, frames) == (1, 6)
    # Four frames at twice the pace, then two at half of it; all boxes around grow by the eight bytes.
    uneven = struct.pack(">5I", 2, 4, ticks // 2, 2, 2 * ticks)
    longer = bytearray(content[: table + 12] + uneven + content[table + 24 :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        start = box_at(content, kind)
        longer[start : start + 4] = struct.pack(">I", struct.unpack(">I", content[start : start + 4])[0] + 8)
    (tmp_path / "uneven.mp4").write_bytes(longer)
    seconds = [when for when, _ in video.read(tmp_path / "uneven.mp4")]
    assert seconds == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.4])


@pytest.mark.parametrize("content", [b"", b"no video at all" * 50, None])
def test_a_file_that_is_no_video_is_refused_by_its_name_and_quietly(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    whole = write(tmp_path / "whole.mp4").read_bytes()
    # A name that could be a pattern for images, with an image that fits it.
    path = tmp_path / "broken-%02d.mp4"
    PIL.Image.new("RGB", (64, 48)).save(tmp_path / "broken-00.mp4", "PNG")
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(errors.InputError, match=r"broken-%02d\.mp4: expected a video .* Received: another file"):
        list(video.read(path))
    assert capfd.readouterr().err == ""


def test_a_video_that_ends_early_gives_what_it_holds_and_says_so(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 100, 160, 3), np.uint8)
    whole = write_all(tmp_path / "whole.avi", noise).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 2 // 3])
    count = len(list(video.read(tmp_path / "cut.avi")))
    assert 10 <= count <= 15
    assert f"cut.avi: only {count} of its 20 frames could be decoded" in caplog.text


def test_a_video_without_frames_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = video.read(write(tmp_path / "drive.mp4"))
    real = cv2.VideoCapture

    class Dry:
        def __init__(self, *given: object) -> None:
            self._capture = real(*given)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def read(self) -> tuple[bool, None]:
            return False, None

        def release(self) -> None:
            self._capture.release()

    monkeypatch.setattr(cv2, "VideoCapture", Dry)
    with pytest.raises(errors.InputError, match=r"expected a video with frames"):
        list(found)


def test_a_failure_while_writing_leaves_what_was_there_and_nothing_else(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "drive.mp4", count=3)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="killed"):
        write_all(path, interrupted())
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["drive.mp4"]


def test_the_name_appears_only_when_the_video_is_whole(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "new" / "drive.mp4"
    with video.Writer(path, frames_per_second=10) as writer:
        writer.write(frame(0))
        assert not path.exists()
    assert len(list(video.read(path))) == 1


def test_odd_sides_lose_a_row_and_a_column(tmp_path: pathlib.Path) -> None:
    found = video.read(write(tmp_path / "drive.mp4", width=65, height=49))
    assert (found.width, found.height, len(list(found))) == (64, 48, 8)


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"ends in \.mp4, \.avi\. Received: drive\.webm"):
        video.Writer(tmp_path / "drive.webm", frames_per_second=10)
    with pytest.raises(errors.InputError, match="at least one frame to write"):
        write(tmp_path / "drive.mp4", count=0)
    with pytest.raises(errors.InputError, match=r"frames of 64 x 48 pixels\. Received: 32 x 48"):
        write_all(tmp_path / "drive.mp4", [frame(0), frame(0, width=32)])
    with pytest.raises(errors.InputError, match="at least 2 x 2 pixels"):
        write(tmp_path / "drive.mp4", width=1, height=1)
    assert list(tmp_path.iterdir()) == []
