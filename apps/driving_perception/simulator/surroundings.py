"""What surrounds the things of a scene: sky and ground, drawn before them; light, air and lens, which act on the whole.

The ray of each pixel meets the flat ground somewhere: what lies there gives the pixel its colour.
"""

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
_AIR = {"clear": (188, 202, 218), "rain": (160, 164, 168), "fog": (196, 198, 200)}
# Brightness and colour of the scene by itself, and how far the own lamps light it.
_LIGHT = {"day": (1.0, (1.0, 1.0, 1.0)), "dusk": (0.5, (1.06, 0.95, 0.92)), "night": (0.17, (0.92, 0.96, 1.1))}


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


def draw_empty(scene: world.Scene, grain: Picture, generator: np.random.Generator) -> tuple[Picture, Picture]:
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


def expose(
    scene: world.Scene,
    picture: Picture,
    depth: Picture,
    glow: Picture,
    generator: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """Return (height, width, 3) uint8 as the camera gives it.

    Args:
        scene: The scene.
        picture: (height, width, 3) float32 in full light.
        depth: (height, width) float32 metres.
        glow: (height, width) float32: how much each pixel shines by itself.
        generator: Of rain and noise.
    """
    seen = _lit(scene, picture, depth, glow)
    # Koschmieder: what is left of an object's contrast falls off exponentially with its distance.
    clear = np.exp(-depth / np.float32(scene.visibility))
    brightness, tint = _LIGHT[scene.time_of_day]
    air = np.array(_AIR[scene.weather], np.float32) * np.array(tint, np.float32) * np.float32(brightness)
    for band in bands(len(seen)):
        seen[band] *= cv2.merge([clear[band]] * 3)
        seen[band] += cv2.merge([(1.0 - clear[band]) * channel for channel in air])
    if scene.time_of_day != "day":
        seen += _halo(glow * clear, strength=150.0 if scene.weather == "clear" else 230.0)
    if scene.weather == "rain":
        seen = _rain(seen, generator)
    return _sensor(seen, scene, generator)


def _lit(scene: world.Scene, picture: Picture, depth: Picture, glow: Picture) -> Picture:
    """Return the scene in its own light and in that of the own lamps."""
    brightness, tint = _LIGHT[scene.time_of_day]
    own = np.float32(brightness)
    if scene.time_of_day == "day":
        return _tinted(picture, tint)
    view = scene.camera
    rows = (np.arange(view.height, dtype=np.float32)[:, None] + 0.5 - view.horizon) / view.height
    across = (np.arange(view.width, dtype=np.float32)[None] + 0.5 - view.width / 2) / view.width
    cone = np.exp(-((across / 0.3) ** 2)) * np.clip(1.0 + rows / 0.16, 0, 1)
    lamps = 0.75 * cone / (1.0 + (depth / 22.0) ** 2)
    light = own + np.maximum(lamps, glow * 1.1)
    lit = np.asarray(cv2.merge([light] * 3), np.float32)
    lit *= picture
    return _tinted(np.minimum(lit, 255.0, out=lit), tint)


def _tinted(picture: Picture, tint: tuple[float, float, float]) -> Picture:
    """Return a copy with each colour times its share."""
    # OpenCV: NumPy is several times slower on three colours beside each other.
    shares = np.array([*np.array(tint, np.float32), 0.0], np.float64)
    return np.asarray(cv2.multiply(picture, shares), np.float32)


def _halo(glow: Picture, *, strength: float) -> Picture:
    """Return the light that lamps spread around them."""
    small = cv2.resize(glow, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    spread = cv2.GaussianBlur(small, (0, 0), 2.0) * strength * 1.2 + cv2.GaussianBlur(small, (0, 0), 6.0) * strength
    large = cv2.resize(spread, glow.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # In double precision, then rounded.
    colours = [(large * np.float64(share)).astype(np.float32) for share in (1.0, 0.93, 0.8)]
    return np.asarray(cv2.merge(colours), np.float32)


def _rain(picture: Picture, generator: np.random.Generator) -> Picture:
    """Draw streaks, and drops on the glass that blur what is behind them."""
    height, width = picture.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    slant = float(generator.normal(0, 0.15))
    starts = generator.random((int(generator.integers(150, 420)), 3)) * (width, height, 1)
    for x, y, size in starts:
        length = 6 + 18 * size
        end = (round(x + slant * length), round(y + length))
        cv2.line(streaks, (round(x), round(y)), end, int(40 + 60 * size), 1, cv2.LINE_AA)
    picture = picture + streaks.astype(np.float32)[..., None] * 0.45
    blurred = cv2.GaussianBlur(picture, (0, 0), 3.0)
    drops = np.zeros((height, width), np.float32)
    for x, y, size in generator.random((int(generator.integers(5, 30)), 3)) * (width, height, 1):
        cv2.circle(drops, (round(x), round(y)), round(2 + 5 * size), 0.85, -1, cv2.LINE_AA)
    return picture + (blurred - picture) * drops[..., None]


def _sensor(picture: Picture, scene: world.Scene, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Blur by motion and lens, darken the corners, set the exposure, add noise and round to 8 bits."""
    height, width = picture.shape[:2]
    speed = scene.speed * (1.0 if scene.time_of_day == "day" else 1.8)
    sharp = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.55 + 0.025 * speed), np.float32)
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5)[None]
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5)[:, None]
    corners = 1.0 - 0.35 * (x**2 + y**2)
    gain = float(np.exp(generator.normal(0, 0.12))) * (1.35 if scene.time_of_day == "night" else 1.0)
    balance = np.exp(generator.normal(0, 0.025, 3)).astype(np.float32)
    shade = corners * np.float32(gain)
    grain = np.float32(2.0 if scene.time_of_day == "day" else 4.5)
    noise = generator.standard_normal((height, width), dtype=np.float32)
    taken = np.empty(sharp.shape, np.uint8)
    for band in bands(height):
        taken[band] = _developed(sharp[band], shade[band], balance, noise[band], grain)
    return taken


def _developed(
    light: Picture, shade: Picture, balance: Picture, noise: Picture, grain: np.float32
) -> npt.NDArray[np.uint8]:
    """Return what the sensor makes of some rows: noise that grows with the root of the light, and 8 bits."""
    planes = []
    for channel, share in zip(cv2.split(light), balance, strict=True):
        plane = np.asarray(channel, np.float32)
        plane *= shade
        plane *= share
        plane += (grain + np.float32(0.12) * np.sqrt(np.maximum(plane, 0))) * noise
        planes.append(np.clip(plane + np.float32(0.5), 0, 255).astype(np.uint8))
    return np.asarray(cv2.merge(planes))
