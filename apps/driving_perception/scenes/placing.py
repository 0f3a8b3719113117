"""Where the faces of things are for the camera, which of them it sees, and how they are lit."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from apps.driving_perception.scenes import raster, shapes, world

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
# Cosine between a face's normal and the ray to it.
_LEAST_TOWARDS = 0.2


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Placed:
    """A thing as the camera has it: f faces with n corners in all.

    Attributes:
        thing: What it is.
        nearest: Metres to its nearest point along the viewing axis.
        outline: Left, top, right, bottom of the whole in pixels, also outside the picture.
        corners: (n, 3) metres from the camera, the faces' corners one after another.
        pixels: (n, 2).
        narrowed: (n, 2) from ``raster.narrowed``.
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
    narrowed, widths = raster.narrowed(pixels, starts)
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
