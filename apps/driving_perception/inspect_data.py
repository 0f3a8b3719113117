"""What plain models see of labelled boxes before training: shape, place, conditions, and 8 x 8 pixels."""

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from apps.driving_perception import boxes as box
from apps.driving_perception import frames
from shared import splits
from shared.evaluation import inspection
from shared.report import blocks

# More boxes take the `data` verb minutes and say little more.
MOST_ROWS, MOST_IMAGES, PIXELS, SHOWN_PIXELS = 3_000, 400, 8, 160


def inspected(collection: frames.Frames, split: splits.Split, *, seed: int) -> inspection.Inspected | None:
    """Return what plain models see of the labelled objects; None where there are none of two classes."""
    usable = (split.part != splits.LEFT_OUT).nonzero()[0].astype(np.int64)
    images = inspection.drawn(usable, split.unit[usable], most=MOST_IMAGES, seed=seed)
    every = collection.boxes
    chosen = np.flatnonzero(np.isin(every.image, images) & (every.kind == box.OBJECT)).astype(np.int64)
    rows = inspection.drawn(chosen, split.unit[every.image[chosen]], most=MOST_ROWS, seed=seed)
    if len(np.unique(every.label[rows])) < 2:
        return None
    crops = _crops(collection, rows)
    columns = _columns(collection, rows)
    small = np.stack([cv2.resize(crop, (PIXELS, PIXELS), interpolation=cv2.INTER_AREA) for crop in crops])
    shape = columns[["width in pixels", "height in pixels", "width / height", "lower edge"]].rank(pct=True)
    return inspection.Inspected(
        names=[_name(collection, int(row)) for row in rows],
        labels=np.eye(len(collection.class_names))[every.label[rows]],
        class_names=collection.class_names,
        exclusive=True,
        units=split.unit[every.image[rows]],
        columns=columns,
        matrix=np.concatenate([small.reshape(len(rows), -1) / 255.0, shape.to_numpy(np.float64)], axis=1),
        show=lambda row: _as_url(crops[row]),
        left_out=f"{len(rows):,} objects of {len(images):,} of {len(collection):,} images were drawn.",
    )


def _name(collection: frames.Frames, row: int) -> str:
    left, top, right, bottom = collection.boxes.xyxy[row].tolist()
    name = collection.images.names[collection.boxes.image[row]]
    return f"{name}, box {left:.0f} {top:.0f} {right:.0f} {bottom:.0f}"


def _crops(collection: frames.Frames, rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    found: list[NDArray[np.uint8]] = []
    decoded, at = np.empty((0, 0, 3), np.uint8), -1
    for row in rows:
        if collection.boxes.image[row] != at:
            at = int(collection.boxes.image[row])
            decoded = collection.images.decode(at)
        left, top = np.floor(collection.boxes.xyxy[row, :2]).astype(int).clip(0)
        right, bottom = np.ceil(collection.boxes.xyxy[row, 2:]).astype(int)
        left, top = min(left, decoded.shape[1] - 1), min(top, decoded.shape[0] - 1)
        found.append(decoded[top : max(bottom, top + 1), left : max(right, left + 1)].copy())
    return found


def _columns(collection: frames.Frames, rows: NDArray[np.int64]) -> pd.DataFrame:
    every = collection.boxes
    left, top, right, bottom = every.xyxy[rows].astype(np.float64).T
    width, height = collection.images.sizes[every.image[rows]].astype(np.float64).T
    occlusion = np.array([*box.OCCLUSIONS, ""], object)[every.occlusion[rows]]
    return pd.DataFrame(
        {
            "width in pixels": right - left,
            "height in pixels": bottom - top,
            "width / height": (right - left) / np.maximum(bottom - top, 1e-6),
            "share of the image": (right - left) * (bottom - top) / (width * height),
            "middle, from the left": (left + right) / 2 / width,
            "lower edge": bottom / height,
            "occlusion": occlusion,
            "truncation": every.truncation[rows],
            "distance in metres": every.distance[rows],
            "time of day": collection.time_of_day[every.image[rows]],
            "weather": collection.weather[every.image[rows]],
            "source": np.array(collection.source_names, object)[collection.sources[every.image[rows]]],
        }
    )


def _as_url(crop: NDArray[np.uint8]) -> str:
    scale = SHOWN_PIXELS / max(crop.shape[:2])
    size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
    shown = cv2.cvtColor(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".png", shown)[1]
    return blocks.data_address(encoded.tobytes(), kind="png")
