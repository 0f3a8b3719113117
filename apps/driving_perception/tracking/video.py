"""Videos read and written frame by frame, with OpenCV's FFmpeg."""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from shared import errors, files

log = logging.getLogger("fieldnets")

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
_USUAL_RATE = 25.0
# A user error is one message of ours: FFmpeg's own lines about a broken file are not shown.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Video:
    """A video file; iterating over it decodes it from the start.

    Attributes:
        path: The file.
        frames_per_second: What it says; 25 where it does not say.
        count: Frames that it says to hold; 0 where it does not say. Some containers only estimate it.
        width: Of the upright picture, in pixels.
        height: Of the upright picture, in pixels.
    """

    path: pathlib.Path
    frames_per_second: float
    count: int
    width: int
    height: int

    def __iter__(self) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yield (seconds since the start, (height, width, 3) uint8 red, green, blue) of each frame, turned upright.

        The times are those of the file, whose frames need not come at an even pace (telephones, some dashcams).

        Raises:
            errors.InputError: No frame can be decoded.
        """
        number, seconds, start = 0, 0.0, None
        with _opened(self.path) as capture:
            while (picture := capture.read()[1]) is not None:
                said = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
                start = said if start is None else start
                # Where a file gives no times, or they run backwards, its pace must do.
                seconds = said - start if said - start > seconds or not number else seconds + 1 / self.frames_per_second
                yield round(seconds, 6), np.ascontiguousarray(picture[..., ::-1])
                number += 1
        if not number:
            raise errors.InputError(f"{self.path}: expected a video with frames. Received: none that can be decoded")
        if number < self.count - 1:
            log.warning("%s: only %d of its %d frames could be decoded", self.path, number, self.count)


def read(path: pathlib.Path) -> Video:
    """Open a video and say what it holds.

    Raises:
        errors.InputError: It is no video that can be decoded.
    """
    with _opened(path) as capture:
        pace, count = float(capture.get(cv2.CAP_PROP_FPS)), float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return Video(
            path=path,
            frames_per_second=pace if 0 < pace < 1000 else _USUAL_RATE,
            count=int(count) if 0 < count < 1e9 else 0,
            width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )


def rate(path: pathlib.Path) -> float:
    """Return a video's frames per second; 25 where it does not say.

    Raises:
        errors.InputError: It is no video that can be decoded.
    """
    return read(path).frames_per_second


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Any]:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        # FFmpeg only: others take a name with %d in it for a pattern.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        if not capture.isOpened():
            raise errors.InputError(f"{path}: expected a video that can be decoded. Received: another file")
        yield capture
    finally:
        capture.release()


class Writer:
    """Write a video whose name appears only when it is whole; use it in a ``with`` block."""

    def __init__(self, path: pathlib.Path, *, frames_per_second: float) -> None:
        """Remember where to write.

        Args:
            path: ``.mp4`` (MPEG-4) or ``.avi`` (Motion JPEG); an existing file is replaced.
            frames_per_second: Of the video; MPEG-4 keeps it to the thousandth.

        Raises:
            errors.InputError: The name ends otherwise.
        """
        if path.suffix.lower() not in CODECS:
            raise errors.InputError(f"{path}: expected a name that ends in {', '.join(CODECS)}. Received: {path.name}")
        self._path = path
        self._pace = frames_per_second
        self._stack = contextlib.ExitStack()
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> Self:
        """Make the unfinished file."""
        self._unfinished = self._stack.enter_context(files.atomic(self._path))
        self._stack.push(self._finish)
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add (height, width, 3) uint8 red, green, blue; OpenCV drops the last row or column of odd sides.

        Raises:
            errors.InputError: This machine cannot write such a video, or the frame is of another size than the first.
        """
        height, width = frame.shape[:2]
        if self._writer is None:
            self._size = (width, height)
            self._writer = self._begin()
        if (width, height) != self._size:
            expected = f"expected frames of {self._size[0]} x {self._size[1]} pixels"
            raise errors.InputError(f"{self._path}: {expected}. Received: {width} x {height}")
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name, unless the block failed.

        Raises:
            errors.InputError: No frame was written.
        """
        self._stack.__exit__(kind, error, trace)

    def _begin(self) -> cv2.VideoWriter:
        code = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
        writer = cv2.VideoWriter(str(self._unfinished), cv2.CAP_FFMPEG, code, self._pace, self._size)
        if not writer.isOpened():
            raise errors.InputError(
                f"{self._path}: expected frames of at least 2 x 2 pixels and a pace above 0. "
                f"Received: {self._size[0]} x {self._size[1]} pixels, {self._pace} frames per second"
            )
        return writer

    def _finish(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
        elif kind is None:
            raise errors.InputError(f"{self._path}: expected at least one frame to write. Received: none")
