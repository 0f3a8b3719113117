"""Road scenes: short drives through procedural streets, rendered with true boxes, occlusion, truncation and distance.

SYNTHETIC: nothing measured here holds for real roads. One straight line: ``world`` says what stands where,
``surroundings`` draws sky and ground and ``drawing`` the things, in full light (``placing`` projects and sorts them);
then ``surroundings`` turns that into what a camera gives.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
from typing import Any

import cv2
import numpy as np

from apps.driving_perception import boxes as box
from apps.driving_perception import frames as images
from apps.driving_perception.readers import union
from apps.driving_perception.simulator import drawing, surroundings, world
from shared import errors

NAME = "road-scenes"
CLASS_NAMES = world.CLASS_NAMES
# Part of every image's identity: raise it when what a seed draws changes.
VERSION = 2
JPEG_QUALITY = 92
LEAST_PIXELS = 32
NOTE = "SYNTHETIC: the images are rendered. Nothing here holds for real roads."


def render(
    *,
    sequences: int,
    frames: int,
    seed: int,
    width: int = 640,
    height: int = 384,
) -> images.Frames:
    """Render sequences of frames.

    Args:
        sequences: How many drives; the first ones do not depend on how many there are.
        frames: Frames of each, ``world.SECONDS_PER_FRAME`` apart; none depends on how many there are. In those of the
            first ``world.APART_SECONDS`` nothing stands in anything else.
        seed: Of everything, at least 0.
        width: Of the pictures in pixels, at least ``LEAST_PIXELS``.
        height: Of the pictures in pixels, at least ``LEAST_PIXELS``.

    Raises:
        errors.InputError: A value is outside its range.
    """
    values = {"sequences": sequences, "frames": frames, "seed": seed, "width": width, "height": height}
    lowest = {"sequences": 1, "frames": 1, "seed": 0, "width": LEAST_PIXELS, "height": LEAST_PIXELS}
    for field, value in values.items():
        if value < lowest[field]:
            raise errors.InputError(f"{NAME}, {field}: expected at least {lowest[field]}. Received: {value!r}.")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_sequence, number, frames, seed, width, height) for number in range(sequences)]
        rendered = [each for job in jobs for each in job.result()]
    return _collected(rendered, sequences=sequences, frames=frames, seed=seed, size=(width, height))


def _sequence(
    number: int, frames: int, seed: int, width: int, height: int
) -> list[tuple[bytes, list[dict[str, Any]], world.Scene]]:
    """Render one drive: per frame the JPEG file, the boxes' columns and the scene."""
    generator = np.random.default_rng((seed, number, VERSION))
    scene = world.build(generator, width=width, height=height)
    grain = surroundings.texture(seed=number % 8)
    found = []
    for _ in range(frames):
        picture, depth = surroundings.draw_empty(scene, grain, generator)
        glow, drawn = drawing.draw(scene, picture, depth)
        taken = surroundings.expose(scene, picture, depth, glow, generator)
        _, encoded = cv2.imencode(".jpg", taken[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        columns = [label(each, width=width, height=height) for each in drawn]
        found.append((encoded.tobytes(), [each for each in columns if each is not None], scene))
        world.step(scene, world.SECONDS_PER_FRAME)
    return found


def _collected(
    rendered: list[tuple[bytes, list[dict[str, Any]], world.Scene]],
    *,
    sequences: int,
    frames: int,
    seed: int,
    size: tuple[int, int],
) -> images.Frames:
    count = sequences * frames
    sequence, number = np.divmod(np.arange(count), frames)
    rows = [{"image": row, **each} for row, (_, found, _) in enumerate(rendered) for each in found]
    columns = ("image", "xyxy", "label", "kind", "occlusion", "truncation", "distance", "track")
    boxes = box.Boxes.build(**{name: np.array([row[name] for row in rows]) for name in columns})
    names = [f"scene-{s:04d}/frame-{n:03d}.jpg" for s, n in zip(sequence, number, strict=True)]
    recipes = [f"{NAME} {VERSION} {seed} {size} {name}" for name in names]
    # Of the recipe, not of the pixels: processors round differently, and a split must not depend on that.
    hashes = np.array(
        [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in recipes], np.uint64
    )
    found = images.Frames(
        images=images.Images(
            names=np.array(names, object),
            items=np.array([content for content, _, _ in rendered] + [None], object)[:-1],
            sizes=np.tile(np.array(size, np.int64), (count, 1)),
            content_hashes=hashes,
        ),
        boxes=boxes,
        class_names=CLASS_NAMES,
        known_classes=np.ones((count, len(CLASS_NAMES)), bool),
        sequences=np.array([name.partition("/")[0] for name in names], object),
        numbers=number.astype(np.int64),
        seconds=number * world.SECONDS_PER_FRAME,
        time_of_day=np.array([scene.time_of_day for _, _, scene in rendered], object),
        weather=np.array([scene.weather for _, _, scene in rendered], object),
        fixed_parts=np.full(count, "", dtype="<U10"),
        sources=np.zeros(count, np.int64),
        source_names=(NAME,),
        sha256="",
        notes=(NOTE,),
        quarantined=0,
        synthetic=True,
    )
    return dataclasses.replace(found, sha256=union.fingerprint(found))


# From these shares of the silhouette on a thing counts as fully, or still well, visible.
FULLY, PARTLY = 0.95, 0.5
# With less seen of it, smaller, further away or paler, it is a region: there is something, and it cannot be judged.
LEAST_VISIBLE, LEAST_HEIGHT_PIXELS, FARTHEST_METRES, LEAST_CONTRAST = 0.2, 16.0, 80.0, 6.0
# With this much outside the picture nothing of it is labelled.
MOST_OUTSIDE = 0.9


def label(drawn: drawing.Drawn, *, width: int, height: int) -> dict[str, Any] | None:
    """Return the columns of one box, or None for what is not in the picture."""
    outline = np.array(drawn.outline)
    inside = box.clip(outline, width=width, height=height)
    whole, part = float(box.area(outline)), float(box.area(inside))
    truncation = 1.0 - part / whole if whole > 0 else 1.0
    if not drawn.visible or truncation > MOST_OUTSIDE or part < 4:
        return None
    seen = drawn.visible / max(drawn.silhouette, 1)
    hard = (
        seen < LEAST_VISIBLE
        or inside[3] - inside[1] < LEAST_HEIGHT_PIXELS
        or drawn.distance > FARTHEST_METRES
        or drawn.contrast < LEAST_CONTRAST
    )
    return {
        "xyxy": inside,
        "label": drawn.thing.label,
        "kind": box.REGION if hard else box.OBJECT,
        "occlusion": 0 if seen >= FULLY else 1 if seen >= PARTLY else 2,
        "truncation": truncation,
        "distance": drawn.distance,
        "track": drawn.thing.track,
    }
