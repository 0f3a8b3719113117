"""Videos read and written frame by frame, with OpenCV."""

import pathlib
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from shared import errors

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm")
_CODECS = {".avi": "MJPG"}
_USUAL_RATE = 25.0


def read(path: pathlib.Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield (seconds since the start, (height, width, 3) uint8 red, green, blue) of each frame, turned upright.

    Raises:
        errors.InputError: The file is no video that can be decoded.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise errors.InputError(f"{path}: expected a video that can be decoded. Received: another file")
        pace, number = rate(path), 0
        while True:
            there, frame = capture.read()
            if not there:
                break
            yield number / pace, np.ascontiguousarray(frame[..., ::-1])
            number += 1
        if number == 0:
            raise errors.InputError(
                f"{path}: expected a video with at least one frame. Received: none that can be decoded"
            )
    finally:
        capture.release()


def rate(path: pathlib.Path) -> float:
    """Return a video's frames per second; 25 where it does not say."""
    capture = cv2.VideoCapture(str(path))
    try:
        found = float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()
    return found if 0 < found < 1000 else _USUAL_RATE


class Writer:
    """Write a video whose name appears only when it is whole; use it in a ``with`` block."""

    def __init__(self, path: pathlib.Path, *, frames_per_second: float) -> None:
        """Remember where to write.

        Args:
            path: ``.mp4`` or ``.avi``.
            frames_per_second: Of the video.
        """
        self._path = path
        self._pace = frames_per_second
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> Self:
        """Make room for the unfinished file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=self._path.parent, prefix=".video-")
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add (height, width, 3) uint8 red, green, blue; all frames have the size of the first, made even.

        Raises:
            errors.InputError: No codec can write this kind of file here.
        """
        if self._writer is None:
            height, width = frame.shape[:2]
            code = cv2.VideoWriter.fourcc(*_CODECS.get(self._path.suffix.lower(), "mp4v"))
            self._size = (width - width % 2, height - height % 2)
            self._writer = cv2.VideoWriter(str(self._unfinished), code, self._pace, self._size)
            if not self._writer.isOpened():
                raise errors.InputError(
                    f"{self._path}: expected .mp4 or .avi, which can be written here. Received: another"
                )
        width, height = self._size
        self._writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the file its name, unless the block failed."""
        if self._writer is not None:
            self._writer.release()
            if kind is None:
                self._unfinished.replace(self._path)
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def _unfinished(self) -> pathlib.Path:
        return pathlib.Path(self._folder.name if self._folder else ".") / f"unfinished{self._path.suffix}"
