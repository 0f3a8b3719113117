"""Where the faces of things are for the camera, which of them it sees, and how they are lit."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from apps.driving_perception.simulator import shapes, world

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
# Cosine between a face's normal and the ray to it.
_LEAST_TOWARDS = 0.2
# Corners are drawn to 1/64 of a pixel.
_SHIFT = 6
_OUTLINE_PIXELS = 0.5
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
# Where edges go on in almost the same direction, the corner moves with one of them.
_LEAST_SINE = 0.2


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Placed:
    """A thing as the camera has it: f faces with n corners in all.

    Attributes:
        thing: What it is.
        nearest: Metres to its nearest point along the viewing axis.
        outline: Left, top, right, bottom of the whole in pixels, also outside the picture.
        corners: (n, 3) metres from the camera, the faces' corners one after another.
        pixels: (n, 2).
        narrowed: (n, 2) from ``narrow``.
        normals: (f, 3) unit normals, towards the camera.
        light: (f,) how bright each is, 0.62 to 1.07 of its colour; 0 where it is not seen.
    """

    thing: world.Thing
    nearest: float
    outline: Floats
    corners: Floats
    pixels: Floats
    narrowed: Floats
    normals: Floats
    light: Floats


def place(scene: world.Scene) -> list[Placed]:
    """Turn and move the faces of a scene's things to where they stand, and project them: those of all at once."""
    if not scene.things:
        return []
    meshes = [thing.mesh for thing in scene.things]
    per_thing = np.array([len(mesh.corners) for mesh in meshes])
    begins = np.cumsum(per_thing) - per_thing
    corners = _moved(scene, meshes, per_thing)
    starts = np.concatenate([mesh.starts + begin for mesh, begin in zip(meshes, begins, strict=True)])
    pixels = scene.camera.project(corners)
    nearest = np.minimum.reduceat(corners[:, 2], begins)
    low, high = np.minimum.reduceat(pixels, begins, axis=0), np.maximum.reduceat(pixels, begins, axis=0)
    corners -= np.array([0.0, scene.camera.above, 0.0])
    narrowed, widths = narrow(pixels, starts)
    two_sided = np.concatenate([mesh.two_sided for mesh in meshes])
    normals, light = _lights(corners, starts, two_sided, scene)
    # A face of a body seen almost from its side, less than half a pixel wide: its neighbour is drawn, and a line of
    # pixels would reach beyond the edge by more than is lost.
    towards = np.abs((corners[starts] * normals).sum(axis=1)) / np.linalg.norm(corners[starts], axis=1)
    light[(towards < _LEAST_TOWARDS) & (widths < 0.5) & ~two_sided] = 0
    found, first = [], 0
    for number, (thing, mesh) in enumerate(zip(scene.things, meshes, strict=True)):
        own = slice(begins[number], begins[number] + per_thing[number])
        faces = slice(first, first + len(mesh.starts))
        first = faces.stop
        found.append(
            Placed(
                thing=thing,
                nearest=float(nearest[number]),
                outline=np.concatenate([low[number], high[number]]),
                corners=corners[own],
                pixels=pixels[own],
                narrowed=narrowed[own],
                normals=normals[faces],
                light=light[faces],
            )
        )
    return found


def _moved(scene: world.Scene, meshes: Sequence[shapes.Mesh], per_thing: Numbers) -> Floats:
    """Return (n, 3) metres to the right of the camera, above the ground and ahead of all corners."""
    distance, lateral, heading = (
        np.array([getattr(thing, name) for thing in scene.things]) for name in ("distance", "lateral", "heading")
    )
    angle = heading + scene.road.direction(distance)
    x = np.asarray(scene.road.middle(distance)) + lateral
    cosine, sine, right, ahead = np.repeat(np.stack([np.cos(angle), np.sin(angle), x, distance]), per_thing, axis=1)
    across, up, along = np.concatenate([mesh.corners for mesh in meshes]).T
    return np.stack([cosine * across + sine * along + right, up, cosine * along - sine * across + ahead], axis=1)


def _lights(
    corners: Floats, starts: Numbers, two_sided: npt.NDArray[np.bool_], scene: world.Scene
) -> tuple[Floats, Floats]:
    """Return how faces are turned and lit.

    Args:
        corners: (n, 3) metres from the camera.
        starts: (f,) where each face begins.
        two_sided: (f,) whether it is seen from behind as well.
        scene: Where the sun is.

    Returns:
        (f, 3) unit normals towards the camera, and (f,) how bright each face is, 0 where it is not seen.
    """
    first, last = corners[starts], np.append(starts[1:], len(corners)) - 1
    # Faces are wound so that this normal points outward.
    normal = np.cross(corners[last] - first, corners[starts + 1] - first)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    behind = (first * normal).sum(axis=1) > 0
    normal = np.where(behind[:, None], -normal, normal)
    sun = np.array(scene.sun)
    light = 0.62 + 0.45 * np.maximum(normal @ (sun / np.linalg.norm(sun)), 0.0)
    return normal, np.where(behind & ~two_sided, 0.0, light)


def fill(
    pixels: Floats, starts: npt.NDArray[np.int64], which: npt.NDArray[np.int64], *, width: int, height: int
) -> npt.NDArray[np.uint8]:
    """Fill polygons of one thing, the later ones over the earlier.

    Args:
        pixels: (n, 2) from ``narrow``.
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


def narrow(pixels: Floats, starts: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
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
    return pixels + _meet(normals[previous], amounts[previous], normals, amounts), 2 * most


def _meet(first: Floats, by_first: Floats, second: Floats, by_second: Floats) -> Floats:
    """Return (n, 2) how corners move when their two edges move along unit normals; no further than a pixel."""
    sine = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    straight = (np.abs(sine) < _LEAST_SINE) & ((first * second).sum(axis=1) > 0)
    sine = np.where(np.abs(sine) < 1e-6, 1e-6, sine)
    x = (by_first * second[:, 1] - by_second * first[:, 1]) / sine
    y = (by_second * first[:, 0] - by_first * second[:, 0]) / sine
    moved = np.where(straight[:, None], second * by_second[:, None], np.stack([x, y], axis=1))
    return np.asarray(moved * np.minimum(1.0 / np.maximum(np.hypot(*moved.T), 1e-9), 1.0)[:, None])
