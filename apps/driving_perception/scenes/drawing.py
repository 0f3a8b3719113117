"""Things drawn into a picture, the far ones first, and who is seen in which pixel."""

import dataclasses

import cv2
import numpy as np
import numpy.typing as npt

from apps.driving_perception.scenes import camera, ground, shapes, world

Floats = npt.NDArray[np.float64]

NOBODY = -1
FARTHEST_METRES = 150.0
# Corners are drawn to a sixteenth of a pixel.
_SHIFT = 4


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


def draw(scene: world.Scene, picture: ground.Picture, depth: ground.Picture) -> tuple[ground.Picture, list[Drawn]]:
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
    for number, thing in enumerate(sorted(scene.things, key=lambda each: -each.distance)):
        placed = place(thing, scene)
        nearest = float(placed.corners[:, 2].min())
        if not camera.NEAREST_METRES <= nearest <= FARTHEST_METRES:
            continue
        _shadow(thing, scene, picture)
        mask = _paint(thing, placed, scene, picture, glow)
        if mask is None:
            continue
        window, silhouette = mask
        owner[window][silhouette] = number
        depth[window][silhouette] = max(thing.distance, nearest)
        if thing.label != world.NOT_LABELLED:
            found.append((number, thing, placed.pixels, nearest, int(silhouette.sum())))
    return glow, [_seen(each, owner, picture, empty, scene) for each in found]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Placed:
    """A thing's faces in the camera's world.

    Attributes:
        corners: (n, 3) metres, the faces' corners one after another.
        starts: (f + 1,) where each face begins.
        pixels: (n, 2).
    """

    corners: Floats
    starts: npt.NDArray[np.int64]
    pixels: Floats


def place(thing: world.Thing, scene: world.Scene) -> Placed:
    """Turn and move a thing's faces to where it stands, and project them."""
    slope = scene.road.bend * thing.distance + scene.road.turn
    angle = thing.heading + np.arctan(slope)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    x = float(scene.road.middle(thing.distance)) + thing.lateral
    corners = np.concatenate([face.corners for face in thing.faces]) @ turn.T + np.array([x, 0.0, thing.distance])
    starts = np.cumsum([0, *(len(face.corners) for face in thing.faces)])
    return Placed(corners=corners, starts=starts, pixels=scene.camera.project(corners))


def _paint(
    thing: world.Thing, placed: Placed, scene: world.Scene, picture: ground.Picture, glow: ground.Picture
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]] | None:
    """Draw one thing; return the window that holds it and its silhouette there, or None where it is out of sight."""
    window = _window(placed.pixels, scene)
    if window is None:
        return None
    origin = (window[1].start, window[0].start)
    points = np.round((placed.pixels - origin) * (1 << _SHIFT)).astype(np.int32)
    part, shine = np.ascontiguousarray(picture[window]), np.ascontiguousarray(glow[window])
    silhouette = np.zeros(shine.shape, np.uint8)
    light = lights(thing, placed, scene)
    middles = np.add.reduceat(placed.corners, placed.starts[:-1], axis=0) / np.diff(placed.starts)[:, None]
    for i in np.argsort(-np.linalg.norm(middles, axis=1), kind="stable"):
        if light[i] <= 0:
            continue
        face, ring = thing.faces[i], [points[placed.starts[i] : placed.starts[i + 1]]]
        colour = tuple(min(channel * float(light[i]), 255.0) for channel in face.colour)
        cv2.fillPoly(part, ring, colour, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(shine, ring, face.glow, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(silhouette, ring, 1, cv2.LINE_8, _SHIFT)
    picture[window], glow[window] = part, shine
    return window, silhouette > 0


def _window(pixels: Floats, scene: world.Scene) -> tuple[slice, slice] | None:
    """Return the rows and columns of the picture that hold these pixels, None where there are none."""
    left, top = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.floor(pixels.max(axis=0)).astype(int) + 2, (scene.camera.width, scene.camera.height))
    return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None


def lights(thing: world.Thing, placed: Placed, scene: world.Scene) -> Floats:
    """Return (f,) how bright each face is, 0.62 to 1.07 of its colour; 0 where it is seen from behind."""
    corners, starts = placed.corners, placed.starts
    first = corners[starts[:-1]]
    along, up = corners[starts[:-1] + 1] - first, corners[starts[1:] - 1] - first
    # Faces are wound so that this normal points outward.
    normal = np.stack(
        [up[:, (i + 1) % 3] * along[:, (i + 2) % 3] - up[:, (i + 2) % 3] * along[:, (i + 1) % 3] for i in range(3)],
        axis=1,
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    facing = ((np.array([0.0, scene.camera.above, 0.0]) - first) * normal).sum(axis=1)
    two_sided = np.array([face.two_sided for face in thing.faces])
    normal = np.where((facing < 0)[:, None], -normal, normal)
    sun = np.array(scene.sun)
    light = 0.62 + 0.45 * np.maximum(normal @ (sun / np.linalg.norm(sun)), 0.0)
    return np.where((facing < 0) & ~two_sided, 0.0, light)


def _shadow(thing: world.Thing, scene: world.Scene, picture: ground.Picture) -> None:
    """Darken the ground under a thing."""
    if thing.label == world.NOT_LABELLED:
        return
    half, long = thing.width / 2 + 0.12, thing.length / 2 + 0.12
    ring = np.array([(-half, 0, -long), (half, 0, -long), (half, 0, long), (-half, 0, long)])
    flat = dataclasses.replace(thing, faces=[shapes.Face(ring, (0, 0, 0))])
    pixels = place(flat, scene).pixels
    window = _window(pixels, scene)
    if window is None:
        return
    mask = np.zeros(picture[window].shape[:2], np.float32)
    points = np.round((pixels - (window[1].start, window[0].start)) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [points], 0.55, cv2.LINE_AA, _SHIFT)
    picture[window] *= 1.0 - mask[..., None]


def _seen(
    each: tuple[int, world.Thing, Floats, float, int],
    owner: npt.NDArray[np.int16],
    picture: ground.Picture,
    empty: ground.Picture,
    scene: world.Scene,
) -> Drawn:
    number, thing, pixels, nearest, silhouette = each
    left, top = pixels.min(axis=0).tolist()
    right, bottom = pixels.max(axis=0).tolist()
    window = (
        slice(max(int(top) - 1, 0), max(int(bottom) + 2, 0)),
        slice(max(int(left) - 1, 0), max(int(right) + 2, 0)),
    )
    own = owner[window] == number
    fade = float(np.exp(-nearest / scene.visibility))
    difference = np.abs(picture[window][own] - empty[window][own]).mean() if own.any() else 0.0
    return Drawn(
        thing=thing,
        outline=(left, top, right, bottom),
        distance=nearest,
        silhouette=silhouette,
        visible=int(own.sum()),
        contrast=float(difference) * fade,
    )
