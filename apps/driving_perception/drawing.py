"""Pictures with boxes drawn into them."""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import lane

Picture: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

# Okabe and Ito 2008: colours that people with any colour vision tell apart.
COLOURS: Sequence[Colour] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
)  # fmt: skip
_TRUTH: Colour = (255, 255, 255)
_WARNING: Colour = (190, 30, 45)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(
    image: Picture,
    xyxy: NDArray[np.floating],
    label: NDArray[np.integer],
    score: NDArray[np.floating],
    class_names: Sequence[str],
    *,
    ids: NDArray[np.integer] | None = None,
    truth: tuple[NDArray[np.floating], NDArray[np.integer]] | None = None,
    region: lane.Region | None = None,
    banner: str = "",
) -> Picture:
    """Return a copy of a picture with boxes.

    Args:
        image: (height, width, 3) uint8 red, green, blue; stays as it is.
        xyxy: (m, 4) pixels.
        label: (m,) index into ``class_names``.
        score: (m,) in [0, 1].
        class_names: What the labels are called.
        ids: (m,) track numbers, written beside.
        truth: Labelled boxes (k, 4) and their labels (k,), drawn dashed in white.
        region: The own way, drawn as an outline.
        banner: A warning over the whole width, "" for none.
    """
    drawn = np.ascontiguousarray(image.copy())
    height, width = drawn.shape[:2]
    thick = max(round(min(height, width) / 220), 1)
    if region is not None:
        cv2.polylines(
            drawn, [region.outline(width=width, height=height).astype(np.int32)], True, (200, 200, 200), thick
        )
    if truth is not None:
        for corners in truth[0]:
            _dashed(drawn, corners, thick)
    for row in np.argsort(score, kind="stable"):
        colour = COLOURS[int(label[row]) % len(COLOURS)]
        left, top, right, bottom = np.round(xyxy[row]).astype(int).tolist()
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, thick, cv2.LINE_AA)
        number = "" if ids is None else f" #{int(ids[row])}"
        _write(drawn, f"{class_names[int(label[row])]}{number} {float(score[row]):.2f}", (left, top), colour)
    if banner:
        _banner(drawn, banner)
    return drawn


def _write(image: Picture, text: str, corner: tuple[int, int], colour: Colour) -> None:
    """Write on a plate of the box's colour, above the box or inside it where there is no room."""
    height, width = image.shape[:2]
    size = max(min(height, width) / 900, 0.35)
    (across, up), below = cv2.getTextSize(text, _FONT, size, 1)
    left = int(np.clip(corner[0], 0, max(width - across - 2, 0)))
    bottom = corner[1] - 2 if corner[1] - up - below - 2 >= 0 else corner[1] + up + below + 2
    cv2.rectangle(image, (left, bottom - up - below), (left + across + 2, bottom), colour, -1)
    # Black on light plates, white on dark: by the luminance of Rec. 709.
    light = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2] > 110
    cv2.putText(
        image,
        text,
        (left + 1, bottom - below + 1),
        _FONT,
        size,
        (0, 0, 0) if light else (255, 255, 255),
        1,
        cv2.LINE_AA,
    )


def _dashed(image: Picture, corners: NDArray[np.floating], thick: int) -> None:
    left, top, right, bottom = np.round(corners).astype(int).tolist()
    step = 5 * thick + 3
    for start in range(left, right, 2 * step):
        for y in (top, bottom):
            cv2.line(image, (start, y), (min(start + step, right), y), _TRUTH, thick)
    for start in range(top, bottom, 2 * step):
        for x in (left, right):
            cv2.line(image, (x, start), (x, min(start + step, bottom)), _TRUTH, thick)


def _banner(image: Picture, text: str) -> None:
    height, width = image.shape[:2]
    size = max(min(height, width) / 500, 0.5)
    (across, up), below = cv2.getTextSize(text, _FONT, size, 2)
    cv2.rectangle(image, (0, 0), (width, up + below + 12), _WARNING, -1)
    cv2.putText(image, text, (max((width - across) // 2, 2), up + 6), _FONT, size, (255, 255, 255), 2, cv2.LINE_AA)
