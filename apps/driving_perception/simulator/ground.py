"""Sky and ground, pixel by pixel: where the ray of each pixel meets the flat ground, and what lies there."""

import functools

import cv2
import numpy as np
import numpy.typing as npt

from apps.driving_perception.simulator import world

Picture = npt.NDArray[np.float32]

_TEXTURE_SIDE = 512
_TEXTURE_METRES = 0.06
_BAND_ROWS = 32
_SKIES = {
    "clear": ((96, 146, 206), (206, 220, 232)),
    "rain": ((128, 134, 142), (170, 174, 178)),
    "fog": ((186, 190, 192), (196, 198, 200)),
}


@functools.lru_cache(maxsize=8)
def texture(seed: int) -> Picture:
    """Return (512, 512) float32 grain of several sizes around 0 that repeats without a seam."""
    generator = np.random.default_rng(seed)
    found = np.zeros((_TEXTURE_SIDE, _TEXTURE_SIDE), np.float32)
    for cells in (512, 128, 32):
        small = generator.normal(0, 1, (cells, cells)).astype(np.float32)
        wrapped = np.pad(small, 1, mode="wrap")
        large = cv2.resize(
            wrapped, None, fx=_TEXTURE_SIDE / cells, fy=_TEXTURE_SIDE / cells, interpolation=cv2.INTER_LINEAR
        )
        margin = _TEXTURE_SIDE // cells
        found += large[margin : margin + _TEXTURE_SIDE, margin : margin + _TEXTURE_SIDE] / 3
    # Many sequences share one: none may write on it.
    found.flags.writeable = False
    return found


def draw(scene: world.Scene, grain: Picture, generator: np.random.Generator) -> tuple[Picture, Picture]:
    """Return the empty scene in full light, (height, width, 3) float32 in [0, 255], and its distances in metres.

    Args:
        scene: The scene.
        grain: From ``texture``.
        generator: Of the clouds.
    """
    view = scene.camera
    picture = _sky(scene, generator)
    rows = np.arange(view.height, dtype=np.float64) + 0.5
    depth = np.broadcast_to(view.ground_distance(rows)[:, None], (view.height, view.width)).astype(np.float32)
    first = int(np.argmax(np.isfinite(depth[:, 0]))) if np.isfinite(depth[-1, 0]) else view.height
    near = np.minimum(depth[first:, :1], 400.0).astype(np.float32)
    across = (np.arange(view.width, dtype=np.float32) + 0.5 - view.width / 2)[None]
    x = across * near / view.focal
    lateral = x - np.asarray(scene.road.middle(near), np.float32)
    along = near + np.float32(scene.travelled)
    for band in bands(view.height - first):
        picture[first:][band] = _surface(scene, lateral[band], along[band], near[band], grain)
    return picture, np.minimum(depth, 1000.0)


def bands(rows: int) -> list[slice]:
    """Cut rows of a picture into bands so narrow that what is computed of one stays in the processor's cache."""
    return [slice(start, min(start + _BAND_ROWS, rows)) for start in range(0, rows, _BAND_ROWS)]


def _surface(scene: world.Scene, lateral: Picture, along: Picture, near: Picture, grain: Picture) -> Picture:
    """Return the colours of the ground at metres to the right of the road's middle and, row by row, along it."""
    road = scene.road
    place = (
        (along / _TEXTURE_METRES).astype(np.int32) % _TEXTURE_SIDE,
        (lateral / _TEXTURE_METRES).astype(np.int32) % _TEXTURE_SIDE,
    )
    # Far away a pixel holds many grains, which average out.
    rough = grain[place] / (1.0 + near / 12.0)
    asphalt = np.float32(84.0 if scene.weather != "rain" else 60.0)
    side = np.abs(lateral)
    walk = side < road.half_metres + road.sidewalk_metres
    kerb = (side > road.half_metres) & (side < road.half_metres + 0.18)
    on_road = side < road.half_metres
    paint = _markings(scene, lateral, along) & on_road
    tracks = 5.0 * np.cos(2 * np.pi * lateral / road.lane_metres)
    street, white = asphalt + 15.0 * rough + tracks, np.float32(214.0) + 14.0 * rough
    beside = np.where(kerb, np.float32(168.0), np.float32(142.0) + 12.0 * rough)
    verge = 26.0 * rough
    # Plane by plane: NumPy is several times slower on three colours beside each other.
    planes = []
    for green, tint in zip((92, 112, 62) if road.green else (128, 122, 112), (1.0, 1.0, 1.03), strict=True):
        plane = np.where(walk, beside, np.float32(green) + verge)
        plane = np.where(on_road, street * np.float32(tint), plane)
        planes.append(np.clip(np.where(paint, white, plane), 0, 255))
    return np.asarray(cv2.merge(planes), np.float32)


def _markings(scene: world.Scene, lateral: Picture, along: Picture) -> npt.NDArray[np.bool_]:
    """Return where lane markings are: solid at the edges and in the middle of wide roads, dashed between lanes."""
    road = scene.road
    edge = np.abs(np.abs(lateral) - (road.half_metres - 0.25)) < 0.07
    place = (lateral + road.half_metres) / road.lane_metres
    nearest = np.round(place)
    line = (np.abs(place - nearest) * road.lane_metres < 0.07) & (nearest > 0) & (nearest < road.lanes)
    dashed = (along % 12.0) < 5.0
    solid = (nearest == road.lanes // 2) & (road.lanes >= 4)
    return np.asarray(edge | (line & (dashed | solid)), bool)


def _sky(scene: world.Scene, generator: np.random.Generator) -> Picture:
    high, low = (np.array(colour, np.float32) for colour in _SKIES[scene.weather])
    share = np.clip(np.arange(scene.camera.height, dtype=np.float32) / max(scene.camera.horizon, 1.0), 0, 1)
    column = high + (low - high) * share[:, None]
    picture = np.repeat(column[:, None], scene.camera.width, axis=1)
    if scene.weather == "clear":
        clouds = cv2.resize(
            generator.random((6, 12)).astype(np.float32),
            (scene.camera.width, scene.camera.height),
            interpolation=cv2.INTER_CUBIC,
        )
        picture += (np.clip(clouds - 0.55, 0, 1) * 140.0)[..., None]
    return np.asarray(np.clip(picture, 0, 255), np.float32)
