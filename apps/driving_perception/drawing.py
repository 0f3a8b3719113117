"""Pictures with boxes drawn into them, and those of the report: worst misses, surest false alarms, some images."""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import evaluate, lane, matching
from shared.report import blocks

Picture: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]
_Plate: TypeAlias = tuple[int, int, int, int]

# Okabe and Ito 2008 (https://jfly.uni-koeln.de/color/): colours that people with any colour vision tell apart.
COLOURS: Sequence[Colour] = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
)  # fmt: skip
_TRUTH: Colour = (255, 255, 255)
_WARNING: Colour = (190, 30, 45)
_WAY: Colour = (200, 200, 200)
_DARK: Colour = (20, 20, 20)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# How many pictures the report shows of each kind, and how long their sides are.
MISSES, ALARMS, EXAMPLES = 12, 8, 6
_CROP_PIXELS, _WHOLE_PIXELS = 240, 640


def annotate(  # noqa: PLR0913
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
        score: (m,) in [0, 1]; the surest box is drawn over the others, and its label has the first choice of place.
        class_names: What the labels are called.
        ids: (m,) track numbers, written beside; none where negative.
        truth: Labelled boxes (k, 4) and their labels (k,), drawn dashed in white.
        region: The own way, drawn as an outline, in the banner's colour where there is one.
        banner: A warning over the whole width, "" for none.
    """
    drawn = np.ascontiguousarray(image.copy())
    height, width = drawn.shape[:2]
    thick = max(round(min(height, width) / 220), 1)
    if region is not None:
        way = _closed(region.outline(width=width, height=height))
        _lines(drawn, way, _WARNING if banner else _WAY, thick, cv2.LINE_AA)
    for each in () if truth is None else truth[0]:
        _lines(drawn, _dashes(each, step=5 * thick + 3), _TRUTH, thick)
    # First, so that it hides no label: what is nearest reaches highest.
    plates = [(0, 0, width, _banner(drawn, banner))] if banner else []
    order = np.argsort(score, kind="stable")
    colours = [COLOURS[int(each) % len(COLOURS)] for each in label]
    for row in order:
        _lines(drawn, _closed(_corners(xyxy[row])), colours[row], thick)
    for row in order[::-1]:
        number = "" if ids is None or ids[row] < 0 else f" #{int(ids[row])}"
        text = f"{class_names[int(label[row])]}{number} {float(score[row]):.2f}"
        plates.append(_write(drawn, text, _corners(xyxy[row]), colours[row], plates))
    return drawn


def _corners(xyxy: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return (4, 2) the corners of a box in whole pixels, clockwise from the upper left one."""
    left, top, right, bottom = np.round(xyxy).astype(np.int64).tolist()
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.int64)


def _closed(corners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n, 2, 2) the sides of a polygon (n, 2)."""
    return np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)


def _lines(image: Picture, ends: NDArray[np.int64], colour: Colour, thick: int, kind: int = cv2.LINE_8) -> None:
    """Draw straight lines (n, 2, 2) on a dark edge, without which light ones are lost in fog and sky."""
    lines = list(ends.astype(np.int32))
    cv2.polylines(image, lines, False, _DARK, thick + 2, kind)
    cv2.polylines(image, lines, False, colour, thick, kind)


def _dashes(xyxy: NDArray[np.floating], *, step: int) -> NDArray[np.int64]:
    """Return (n, 2, 2) the dashes of a box; every side begins and ends with one, however short it is."""
    dashes: list[NDArray[np.float64]] = []
    for begin, end in _closed(_corners(xyxy)):
        pieces = 2 * max(int(np.abs(end - begin).max()) // (2 * step), 1) + 1
        points = begin + (end - begin) * np.linspace(0, 1, pieces + 1)[:, None]
        dashes.extend(np.stack([points[:-1], points[1:]], axis=1)[::2])
    return np.round(np.array(dashes)).astype(np.int64)


def _write(image: Picture, text: str, corners: NDArray[np.int64], colour: Colour, plates: Sequence[_Plate]) -> _Plate:
    """Write on a plate of the box's colour and return where: above, below or inside the box, over no other plate."""
    height, width = image.shape[:2]
    size = max(min(height, width) / 900, 0.35)
    (across, up), below = cv2.getTextSize(text, _FONT, size, 1)
    tall, wide = up + below + 2, across + 4
    left = int(np.clip(corners[0, 0], 0, max(width - wide, 0)))
    top, bottom = (int(np.clip(corner[1], 0, height)) for corner in (corners[0], corners[2]))
    rows = (top - tall, bottom + 1, *range(top + 2, max(bottom - tall, top + 3), tall))
    places = [(left, y, left + wide, y + tall) for y in rows if 0 <= y <= height - tall]
    free = [place for place in places if not any(_touch(place, plate) for plate in plates)]
    plate = (free or places or [(left, 0, left + wide, tall)])[0]
    cv2.rectangle(image, plate[:2], plate[2:], colour, -1)
    # Black on light plates, white on dark: by the luminance of Rec. 709.
    light = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2] > 110
    ink = (0, 0, 0) if light else (255, 255, 255)
    cv2.putText(image, text, (left + 2, plate[1] + up + 1), _FONT, size, ink, 1, cv2.LINE_AA)
    return plate


def _touch(one: _Plate, other: _Plate) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _banner(image: Picture, text: str) -> int:
    """Write a warning over the upper edge and return how many rows it takes."""
    height, width = image.shape[:2]
    size = max(min(height, width) / 600, 0.5)
    (across, up), below = cv2.getTextSize(text, _FONT, size, 2)
    tall = int(min(up + below + 12, height))
    cv2.rectangle(image, (0, 0), (width, tall - 1), _WARNING, -1)
    cv2.putText(image, text, (max((width - across) // 2, 2), up + 6), _FONT, size, (255, 255, 255), 2, cv2.LINE_AA)
    return tall


def worst_misses(results: evaluate.Results) -> list[blocks.Pictures]:
    """Show the objects missed that matter most: the nearest where distances are known, else the tallest."""
    boxes, pairs = results.rows.frames.boxes, results.pairs
    missed = np.flatnonzero(pairs.wanted & (pairs.found_by == matching.NONE))
    if not len(missed):
        return []
    height = boxes.xyxy[:, 3] - boxes.xyxy[:, 1]
    near = np.isfinite(boxes.distance[missed]).all()
    order = missed[np.argsort(boxes.distance[missed] if near else -height[missed], kind="stable")]
    shown = [_miss(results, int(row)) for row in order[:MISSES]]
    by = "nearest first" if near else "tallest first"
    caption = f"The worst misses, {by}. Dashed: the true box. Solid: what the model saw there, at any score."
    return [blocks.Pictures(caption, shown)]


def _miss(results: evaluate.Results, row: int) -> blocks.Picture:
    rows, run = results.rows, results.predictions
    boxes, names = rows.frames.boxes, rows.frames.class_names
    image = int(boxes.image[row])
    found = run.found.take(run.found.image == image)
    overlap = box.iou(boxes.xyxy[row : row + 1], found.xyxy)[0] if len(found) else np.empty(0)
    near = np.argsort(-overlap, kind="stable")[:1] if overlap.max(initial=0.0) > 0.1 else np.empty(0, np.int64)
    drawn = annotate(
        rows.frames.images.decode(image),
        found.xyxy[near],
        found.label[near],
        found.score[near],
        names,
        truth=(boxes.xyxy[row : row + 1], boxes.label[row : row + 1]),
    )
    distance = float(boxes.distance[row])
    facts: dict[str, blocks.Cell] = {"image": str(rows.frames.images.names[image]), "class": names[boxes.label[row]]}
    facts["height, px"] = round(float(boxes.xyxy[row, 3] - boxes.xyxy[row, 1]))
    if np.isfinite(distance):
        facts["distance, m"] = f"{distance:.1f}"
    if boxes.occlusion[row] >= 0:
        facts["occlusion"] = box.OCCLUSIONS[boxes.occlusion[row]]
    facts["best score there"] = round(float(found.score[near[0]]), 3) if len(near) else "nothing"
    return blocks.Picture(
        source=picture_source(cropped(drawn, boxes.xyxy[row]), _CROP_PIXELS), alt="a missed object", facts=facts
    )


def surest_false_alarms(results: evaluate.Results) -> list[blocks.Pictures]:
    """Show the surest boxes that are no object."""
    rows, wrong = results.rows, results.chosen[results.pairs.outcome == matching.WRONG]
    if not len(wrong):
        return []
    detections, names = results.predictions.found, rows.frames.class_names
    order = wrong[np.argsort(-detections.score[wrong], kind="stable")][:ALARMS]
    shown = []
    for row in order.tolist():
        image, here = int(detections.image[row]), slice(row, row + 1)
        drawn = annotate(
            rows.frames.images.decode(image),
            detections.xyxy[here],
            detections.label[here],
            detections.score[here],
            names,
        )
        facts: dict[str, blocks.Cell] = {
            "image": str(rows.frames.images.names[image]),
            "predicted": names[detections.label[row]],
            "score": round(float(detections.score[row]), 3),
        }
        shown.append(
            blocks.Picture(
                source=picture_source(cropped(drawn, detections.xyxy[row]), _CROP_PIXELS),
                alt="a false alarm",
                facts=facts,
            )
        )
    return [blocks.Pictures("The surest false alarms.", shown)]


def examples(results: evaluate.Results) -> blocks.Pictures:
    """Show some images, evenly spaced, with what is predicted and what is true."""
    part, boxes = results.rows.frames, results.rows.frames.boxes
    shown = []
    for image in np.unique(np.linspace(0, len(part) - 1, EXAMPLES).round().astype(int)).tolist():
        found = results.predicted.take(results.predicted.image == image)
        real = (boxes.image == image) & (boxes.kind == box.OBJECT)
        drawn = annotate(
            part.images.decode(image), found.xyxy, found.label, found.score, part.class_names,
            truth=(boxes.xyxy[real], boxes.label[real]),
        )  # fmt: skip
        facts: dict[str, blocks.Cell] = {
            "image": str(part.images.names[image]),
            "true": int(real.sum()),
            "predicted": len(found),
        }
        shown.append(blocks.Picture(source=picture_source(drawn, _WHOLE_PIXELS), alt="a road with boxes", facts=facts))
    return blocks.Pictures(
        "Images at even distances through the part. Dashed: true boxes. Solid: predictions.", shown, wide=True
    )


def cropped(image: Picture, xyxy: NDArray[np.floating]) -> Picture:
    """Return the surroundings of a box: three times its longer side, square, cut to the image."""
    height, width = image.shape[:2]
    middle = (xyxy[:2] + xyxy[2:]) / 2
    half = max(1.5 * float((xyxy[2:] - xyxy[:2]).max()), 40.0)
    left, top = np.maximum(middle - half, 0).astype(int)
    right, bottom = np.minimum(middle + half, (width, height)).astype(int)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def picture_source(image: Picture, longest: int) -> str:
    """Return a picture as a small JPEG for the page."""
    factor = min(longest / max(image.shape[:2]), 2.0)
    size = [max(round(side * factor), 1) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    _, encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return blocks.data_address(encoded.tobytes(), kind="jpeg")
