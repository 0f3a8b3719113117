"""Things drawn into a picture, the far ones first, and who is seen in which pixel."""

import dataclasses
import math

import cv2
import numpy as np
import numpy.typing as npt

from apps.driving_perception.simulator import geometry, placing, surroundings, world

Floats = npt.NDArray[np.float64]

NOBODY = -1
FARTHEST_METRES = 150.0


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Drawn:
    """A labelled thing in a picture.

    Attributes:
        thing: What it is.
        outline: Left, top, right, bottom of its whole silhouette in pixels, also outside the picture.
        distance: Metres to its nearest point along the viewing axis.
        silhouette: Pixels of it inside the picture if nothing stood before it.
        visible: Pixels of it that are seen.
        contrast: How far its colours are from what is behind it, 0 to 255.
    """

    thing: world.Thing
    outline: tuple[float, float, float, float]
    distance: float
    silhouette: int
    visible: int
    contrast: float


def draw(
    scene: world.Scene, picture: surroundings.Picture, depth: surroundings.Picture
) -> tuple[surroundings.Picture, list[Drawn]]:
    """Draw all things, in place.

    Args:
        scene: The scene.
        picture: (height, width, 3) float32 of the empty scene in full light.
        depth: (height, width) metres; gets the distance of what is drawn.

    Returns:
        (height, width) float32 of how much each pixel shines by itself, and what was drawn of the labelled things.
    """
    owner = np.full(picture.shape[:2], NOBODY, np.int16)
    glow = np.zeros(picture.shape[:2], np.float32)
    empty = picture.copy()
    found = []
    for number, each in enumerate(_in_order(scene)):
        _shadow(each.thing, scene, picture)
        window = _window(each.outline, scene)
        silhouette = None if window is None else _paint(each, picture[window], glow[window], window)
        if window is None or silhouette is None:
            continue
        np.copyto(owner[window], number, where=silhouette)
        np.copyto(depth[window], max(each.thing.distance, each.nearest), where=silhouette)
        if each.thing.label != world.NOT_LABELLED:
            found.append((each, window, int(np.count_nonzero(silhouette)), number))
    return glow, [
        _seen(each, silhouette, owner[window] == number, (picture[window], empty[window]), scene.visibility)
        for each, window, silhouette, number in found
    ]


def _in_order(scene: world.Scene) -> list[placing.Placed]:
    """Return what is neither too near nor too far to be drawn, the things that others may hide first."""
    drawn = [each for each in placing.place(scene) if geometry.NEAREST_METRES <= each.nearest <= FARTHEST_METRES]
    if not drawn:
        return []
    grounds = np.concatenate([world.footprints_of(each.thing, scene) for each in drawn])
    return [drawn[number] for number in geometry.things(grounds)]


def _paint(
    placed: placing.Placed, picture: surroundings.Picture, glow: surroundings.Picture, window: tuple[slice, slice]
) -> npt.NDArray[np.bool_] | None:
    """Draw one thing into a window of the picture; return its silhouette there, or None where no face is seen."""
    seen = np.flatnonzero(placed.light)
    if not len(seen):
        return None
    mesh = placed.thing.mesh
    kept = np.repeat(placed.light > 0, mesh.sizes)
    seen = seen[geometry.faces(placed.corners[kept], mesh.sizes[seen], placed.normals[seen], placed.pixels[kept])]
    which = _filled(placed.narrowed, mesh.starts, seen, window)
    silhouette = which > 0
    table = np.zeros((256, 1, 4), np.float32)
    table[1 : len(seen) + 1, 0, :3] = np.minimum(mesh.colours[seen] * placed.light[seen, None], 255.0)
    table[1 : len(seen) + 1, 0, 3] = mesh.glow[seen]
    # OpenCV: NumPy takes several times as long to look up three colours for each pixel.
    cv2.copyTo(cv2.LUT(cv2.merge([which] * 3), table[..., :3].copy()), which, picture)
    cv2.copyTo(cv2.LUT(which, table[..., 3].copy()), which, glow)
    return silhouette


def _filled(
    narrowed: Floats, starts: npt.NDArray[np.int64], which: npt.NDArray[np.int64], window: tuple[slice, slice]
) -> npt.NDArray[np.uint8]:
    """Return which of some polygons is seen in the pixels of a window, 1 for the first, 0 where none is."""
    rows, columns = window
    origin = (columns.start, rows.start)
    return placing.fill(
        narrowed - origin, starts, which, width=columns.stop - columns.start, height=rows.stop - rows.start
    )


def _window(outline: Floats, scene: world.Scene) -> tuple[slice, slice] | None:
    """Return the rows and columns of the picture that hold left, top, right, bottom, None where there are none."""
    left, top = (max(math.floor(edge) - 1, 0) for edge in outline[:2])
    right, bottom = (
        min(math.floor(outline[2]) + 2, scene.camera.width),
        min(math.floor(outline[3]) + 2, scene.camera.height),
    )
    return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None


def _shadow(thing: world.Thing, scene: world.Scene, picture: surroundings.Picture) -> None:
    """Darken the ground under a thing."""
    if thing.label == world.NOT_LABELLED:
        return
    corners = np.zeros((4, 3))
    corners[:, (0, 2)] = world.footprints_of(thing, scene, margin=0.12)[0]
    pixels = scene.camera.project(corners)
    window = _window(np.concatenate([pixels.min(axis=0), pixels.max(axis=0)]), scene)
    if window is None:
        return
    start = np.zeros(1, np.int64)
    dark = _filled(placing.narrow(pixels, start)[0], start, start, window) > 0
    picture[window][dark] *= 0.45


def _seen(
    placed: placing.Placed,
    silhouette: int,
    own: npt.NDArray[np.bool_],
    pictures: tuple[surroundings.Picture, surroundings.Picture],
    visibility: float,
) -> Drawn:
    """Return what is seen of a thing: of ``silhouette`` pixels those in ``own``, with and without all things."""
    # The mean over no pixels is 0.
    difference = cv2.mean(cv2.absdiff(*pictures), own.astype(np.uint8))[:3]
    left, top, right, bottom = placed.outline.tolist()
    return Drawn(
        thing=placed.thing,
        outline=(left, top, right, bottom),
        distance=placed.nearest,
        silhouette=silhouette,
        visible=int(np.count_nonzero(own)),
        contrast=float(np.mean(difference)) * math.exp(-placed.nearest / visibility),
    )
