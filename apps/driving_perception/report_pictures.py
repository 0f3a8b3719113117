"""Pictures for the report: the worst misses, the surest false alarms, and some images as the model sees them."""

import base64
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from apps.driving_perception import boxes as box
from apps.driving_perception import drawing, evaluate
from apps.driving_perception.metrics import matching
from shared.report import blocks

Picture: TypeAlias = npt.NDArray[np.uint8]
MISSES, ALARMS, EXAMPLES = 12, 8, 6
_CROP_PIXELS, _WHOLE_PIXELS = 240, 640


def misses(results: evaluate.Results) -> list[blocks.Pictures]:
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
    drawn = drawing.annotate(
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
        facts["distance, m"] = round(distance, 1)
    if boxes.occlusion[row] >= 0:
        facts["occlusion"] = box.OCCLUSIONS[boxes.occlusion[row]]
    facts["best score there"] = round(float(found.score[near[0]]), 3) if len(near) else "nothing"
    return blocks.Picture(
        source=source(cropped(drawn, boxes.xyxy[row]), _CROP_PIXELS), alt="a missed object", facts=facts
    )


def alarms(results: evaluate.Results) -> list[blocks.Pictures]:
    """Show the surest boxes that are no object."""
    rows, wrong = results.rows, results.chosen[results.pairs.outcome == matching.WRONG]
    if not len(wrong):
        return []
    detections, names = results.predictions.found, rows.frames.class_names
    order = wrong[np.argsort(-detections.score[wrong], kind="stable")][:ALARMS]
    shown = []
    for row in order.tolist():
        image, here = int(detections.image[row]), slice(row, row + 1)
        drawn = drawing.annotate(
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
                source=source(cropped(drawn, detections.xyxy[row]), _CROP_PIXELS), alt="a false alarm", facts=facts
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
        drawn = drawing.annotate(
            part.images.decode(image), found.xyxy, found.label, found.score, part.class_names,
            truth=(boxes.xyxy[real], boxes.label[real]),
        )  # fmt: skip
        facts: dict[str, blocks.Cell] = {
            "image": str(part.images.names[image]),
            "true": int(real.sum()),
            "predicted": len(found),
        }
        shown.append(blocks.Picture(source=source(drawn, _WHOLE_PIXELS), alt="a road with boxes", facts=facts))
    return blocks.Pictures(
        "Images at even distances through the part. Dashed: true boxes. Solid: predictions.", shown, wide=True
    )


def cropped(image: Picture, xyxy: npt.NDArray[np.floating]) -> Picture:
    """Return the surroundings of a box: three times its longer side, square, cut to the image."""
    height, width = image.shape[:2]
    middle = (xyxy[:2] + xyxy[2:]) / 2
    half = max(1.5 * float((xyxy[2:] - xyxy[:2]).max()), 40.0)
    left, top = np.maximum(middle - half, 0).astype(int)
    right, bottom = np.minimum(middle + half, (width, height)).astype(int)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def source(image: Picture, longest: int) -> str:
    """Return a picture as a small JPEG for the page."""
    factor = min(longest / max(image.shape[:2]), 2.0)
    size = [max(round(side * factor), 1) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    _, encoded = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
