"""From polygons to pixels: a pixel belongs to a polygon that holds its middle.

Coordinates are continuous: pixel i covers [i, i + 1). OpenCV takes whole numbers for pixels' middles instead, and
draws the outline as well, half a pixel too far on every side.
"""

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Corners are drawn to 1/64 of a pixel.
_SHIFT = 6
_OUTLINE_PIXELS = 0.5
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
# Where edges go on in almost the same direction, the corner moves with one of them.
_LEAST_SINE = 0.2


def fill(
    pixels: Floats, starts: npt.NDArray[np.int64], which: npt.NDArray[np.int64], *, width: int, height: int
) -> npt.NDArray[np.uint8]:
    """Fill polygons of one thing, the later ones over the earlier.

    Args:
        pixels: (n, 2) from ``narrowed``.
        starts: (f,) where each polygon begins.
        which: (k,) the numbers of those that are drawn, one after another; at most 255.
        width: Of the picture in pixels.
        height: Of the picture in pixels.

    Returns:
        (height, width) whose turn it was: 1 for the first of ``which``, 0 where nothing is.
    """
    picture = np.zeros((height, width), np.uint8)
    points = np.round((pixels - 0.5) * (1 << _SHIFT)).astype(np.int32)
    begins = [*starts.tolist(), len(points)]
    for turn, number in enumerate(which.tolist(), start=1):
        ring = points[begins[number] : begins[number + 1]]
        cv2.fillConvexPoly(picture, ring, turn, cv2.LINE_8, _SHIFT)
    # Rounding opens cracks, a pixel wide, between polygons that share an edge. Nothing is outside of the picture: by
    # default what touches its border would grow.
    closed = cv2.morphologyEx(picture, cv2.MORPH_CLOSE, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    return np.where(picture > 0, picture, closed)


def narrowed(pixels: Floats, starts: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Move the edges of polygons inward by as much as OpenCV's outline of them reaches outward.

    A line of pixels reaches half a pixel across if it is steep, up and down if it is not: along its normal that is
    half of the normal's larger part. What is thinner than a pixel becomes a line in its middle.

    Args:
        pixels: (n, 2) convex polygons' corners one after another.
        starts: (f,) where each begins.

    Returns:
        (n, 2) the corners of the narrower polygons, and (f,) how many pixels wide the polygons were, across.
    """
    count = len(pixels)
    following, sizes = np.arange(1, count + 1), np.diff(starts, append=count)
    following[starts + sizes - 1] = starts
    along = pixels[following] - pixels
    lengths = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
    doubled = np.add.reduceat(pixels[:, 0] * along[:, 1] - pixels[:, 1] * along[:, 0], starts)
    # Half of a parallelogram's width, but no more than the radius of a circle that has room.
    longest, around = np.maximum.reduceat(lengths, starts), np.add.reduceat(lengths, starts)
    most = np.abs(doubled) * np.minimum(0.25 / longest, 1.0 / around)
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1) * (np.repeat(np.sign(doubled), sizes) / lengths)[:, None]
    amounts = np.minimum(_OUTLINE_PIXELS * np.abs(normals).max(axis=1), np.repeat(most, sizes))
    previous = np.empty(count, np.int64)
    previous[following] = np.arange(count)
    return pixels + _moved(normals[previous], amounts[previous], normals, amounts), 2 * most


def _moved(first: Floats, by_first: Floats, second: Floats, by_second: Floats) -> Floats:
    """Return (n, 2) how corners move when their two edges move along unit normals; no further than a pixel."""
    sine = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    straight = (np.abs(sine) < _LEAST_SINE) & ((first * second).sum(axis=1) > 0)
    sine = np.where(np.abs(sine) < 1e-6, 1e-6, sine)
    x = (by_first * second[:, 1] - by_second * first[:, 1]) / sine
    y = (by_second * first[:, 0] - by_first * second[:, 0]) / sine
    moved = np.where(straight[:, None], second * by_second[:, None], np.stack([x, y], axis=1))
    return np.asarray(moved * np.minimum(1.0 / np.maximum(np.hypot(*moved.T), 1e-9), 1.0)[:, None])
