"""What plain models see of labelled images before training: size, brightness, attributes, and 16 x 16 pixels."""

import io

import numpy as np
import pandas as pd
import PIL.Image
from numpy.typing import NDArray

from apps.medical_imaging import baselines, dataset
from shared import splits
from shared.evaluation import inspection
from shared.report import blocks

# More images take the `data` verb minutes and say little more.
MOST_ROWS, SIDE, SHOWN_PIXELS = 1_000, 64, 192


def inspected(radiographs: dataset.Radiographs, split: splits.Split, *, seed: int) -> inspection.Inspected | None:
    """Return what plain models see of the labelled images; None without labels."""
    known = np.isfinite(radiographs.labels).any(axis=1) if radiographs.labels.size else np.zeros(len(split.part), bool)
    labelled = np.flatnonzero(known & (split.part != splits.LEFT_OUT)).astype(np.int64)
    if not labelled.size:
        return None
    rows = inspection.drawn(labelled, split.unit[labelled], most=MOST_ROWS, seed=seed)
    pictures = [_grey(radiographs.images.read(int(row))) for row in rows]
    squares = np.stack([np.asarray(each.resize((SIDE, SIDE), PIL.Image.Resampling.BOX)) for each in pictures])
    return inspection.Inspected(
        names=[str(radiographs.images.names[row]) for row in rows],
        labels=radiographs.labels[rows].astype(np.float64),
        class_names=radiographs.class_names,
        exclusive=radiographs.task == "single_label",
        units=split.unit[rows],
        columns=_columns(radiographs, rows, pictures, squares),
        matrix=baselines.thumbnails(squares).reshape(len(rows), -1) / 255.0,
        show=lambda row: _as_url(pictures[row]),
        left_out=f"Of {len(labelled):,} labelled images {len(rows):,} were drawn." if len(rows) < len(labelled) else "",
    )


def _columns(
    radiographs: dataset.Radiographs,
    rows: NDArray[np.int64],
    pictures: list[PIL.Image.Image],
    squares: NDArray[np.uint8],
) -> pd.DataFrame:
    values = squares.astype(np.float64)
    facts = {
        "width in pixels": [picture.width for picture in pictures],
        "height in pixels": [picture.height for picture in pictures],
        "width / height": [picture.width / picture.height for picture in pictures],
        "mean grey": [value.mean() for value in values],
        "spread of grey": [value.std() for value in values],
        "share of black": [(value < 8).mean() for value in values],
        "share of white": [(value > 247).mean() for value in values],
        "mean grey of the edge": [_edge(value) for value in values],
        "kind of file": [str(radiographs.images.names[row]).rpartition(".")[2].lower() for row in rows],
    }
    return pd.concat([pd.DataFrame(facts), radiographs.attributes.iloc[rows].reset_index(drop=True)], axis=1)


def _edge(values: NDArray[np.float64]) -> float:
    return float(
        np.concatenate([values[:3].ravel(), values[-3:].ravel(), values[:, :3].ravel(), values[:, -3:].ravel()]).mean()
    )


def _grey(item: bytes | NDArray[np.float32]) -> PIL.Image.Image:
    """Return an image as 8 bits of grey, in its own size."""
    if isinstance(item, bytes):
        image = PIL.Image.open(io.BytesIO(item))
        if image.mode.startswith("I"):
            return PIL.Image.fromarray((np.asarray(image, np.float64) / 257).clip(0, 255).astype(np.uint8))
        return image.convert("L")
    values = item if item.ndim == 2 else item.mean(axis=-1)
    return PIL.Image.fromarray((values * 255).clip(0, 255).astype(np.uint8))


def _as_url(image: PIL.Image.Image) -> str:
    shown = image.copy()
    shown.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS))
    stream = io.BytesIO()
    shown.save(stream, "PNG")
    return blocks.data_address(stream.getvalue(), kind="png")
