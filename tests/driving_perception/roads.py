"""Small folders of labelled road images in every format, and collections in memory."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from apps.driving_perception import boxes as box
from apps.driving_perception import frames

WIDTH, HEIGHT = 120, 80


def picture(path: pathlib.Path, *, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> pathlib.Path:
    """Write an image of coloured blocks that differ from seed to seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (6, 9, 3), np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.NEAREST).save(path, quality=95)
    return path


def kitti(folder: pathlib.Path, lines: Mapping[str, Sequence[str]]) -> pathlib.Path:
    """Write image_2 and label_2: stem -> label lines."""
    (folder / "label_2").mkdir(parents=True)
    for number, (stem, content) in enumerate(lines.items()):
        picture(folder / "image_2" / f"{stem}.png", seed=number)
        (folder / "label_2" / f"{stem}.txt").write_text("".join(f"{line}\n" for line in content))
    return folder


def kitti_line(name: str, corners: str, *, truncated: str = "0.00", occluded: int = 0, depth: str = "20.5") -> str:
    return f"{name} {truncated} {occluded} -1.5 {corners} 1.5 1.6 3.9 1.0 1.6 {depth} -1.5"


def voc(folder: pathlib.Path, objects: Mapping[str, Sequence[tuple[str, Sequence[object]]]]) -> pathlib.Path:
    """Write images with ``annotations/*.xml``: stem -> (name, corners)."""
    (folder / "annotations").mkdir(parents=True)
    for number, (stem, found) in enumerate(objects.items()):
        picture(folder / f"{stem}.jpg", seed=number)
        inner = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
            for name, (a, b, c, d) in found
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        (folder / "annotations" / f"{stem}.xml").write_text(f"<annotation>{size}{inner}</annotation>")
    return folder


def coco(folder: pathlib.Path, content: Mapping[str, object], images: Sequence[str]) -> pathlib.Path:
    for number, name in enumerate(images):
        picture(folder / name, seed=number)
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def table(folder: pathlib.Path, text: str, images: Sequence[str]) -> pathlib.Path:
    for number, name in enumerate(images):
        picture(folder / "images" / name, seed=number)
    (folder / "boxes.csv").write_text(text)
    return folder


def collection(
    boxes: box.Boxes,
    *,
    images: int,
    class_names: tuple[str, ...] = ("car", "person"),
    sequences: Sequence[str] = (),
    **more: Any,
) -> frames.Frames:
    """A collection whose pixels nobody reads."""
    columns: dict[str, Any] = {
        "images": frames.Images(
            names=np.array([f"{row:03d}.jpg" for row in range(images)], object),
            items=np.array([b""] * images + [None], object)[:-1],
            sizes=np.tile(np.array([[WIDTH, HEIGHT]]), (images, 1)),
            content_hashes=np.arange(images, dtype=np.uint64),
        ),
        "boxes": boxes,
        "class_names": class_names,
        "known_classes": np.ones((images, len(class_names)), bool),
        "sequences": np.array([*sequences] or [""] * images, object),
        "numbers": np.arange(images),
        "seconds": np.full(images, np.nan),
        "time_of_day": np.array([""] * images, object),
        "weather": np.array([""] * images, object),
        "fixed_parts": np.array([""] * images, dtype="<U10"),
        "sources": np.zeros(images, np.int64),
        "source_names": ("made",),
        "sha256": "0",
        "notes": (),
        "quarantined": 0,
        "synthetic": False,
    }
    return frames.Frames(**{**columns, **more})
