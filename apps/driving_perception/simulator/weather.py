"""Light, air and lens: what lies between a scene in full light and the picture that a camera on the road gives."""

import cv2
import numpy as np
import numpy.typing as npt

from apps.driving_perception.simulator import ground, world

_AIR = {"clear": (188, 202, 218), "rain": (160, 164, 168), "fog": (196, 198, 200)}
# Brightness and colour of the scene by itself, and how far the own lamps light it.
_LIGHT = {"day": (1.0, (1.0, 1.0, 1.0)), "dusk": (0.5, (1.06, 0.95, 0.92)), "night": (0.17, (0.92, 0.96, 1.1))}


def expose(
    scene: world.Scene,
    picture: ground.Picture,
    depth: ground.Picture,
    glow: ground.Picture,
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
    for band in ground.bands(len(seen)):
        seen[band] *= cv2.merge([clear[band]] * 3)
        seen[band] += cv2.merge([(1.0 - clear[band]) * channel for channel in air])
    if scene.time_of_day != "day":
        seen += _halo(glow * clear, strength=150.0 if scene.weather == "clear" else 230.0)
    if scene.weather == "rain":
        seen = _rain(seen, generator)
    return _sensor(seen, scene, generator)


def _lit(scene: world.Scene, picture: ground.Picture, depth: ground.Picture, glow: ground.Picture) -> ground.Picture:
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


def _tinted(picture: ground.Picture, tint: tuple[float, float, float]) -> ground.Picture:
    """Return a copy with each colour times its share."""
    # OpenCV: NumPy is several times slower on three colours beside each other.
    shares = np.array([*np.array(tint, np.float32), 0.0], np.float64)
    return np.asarray(cv2.multiply(picture, shares), np.float32)


def _halo(glow: ground.Picture, *, strength: float) -> ground.Picture:
    """Return the light that lamps spread around them."""
    small = cv2.resize(glow, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    spread = cv2.GaussianBlur(small, (0, 0), 2.0) * strength * 1.2 + cv2.GaussianBlur(small, (0, 0), 6.0) * strength
    large = cv2.resize(spread, glow.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # In double precision, then rounded.
    colours = [(large * np.float64(share)).astype(np.float32) for share in (1.0, 0.93, 0.8)]
    return np.asarray(cv2.merge(colours), np.float32)


def _rain(picture: ground.Picture, generator: np.random.Generator) -> ground.Picture:
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


def _sensor(picture: ground.Picture, scene: world.Scene, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
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
    for band in ground.bands(height):
        taken[band] = _read(sharp[band], shade[band], balance, noise[band], grain)
    return taken


def _read(
    light: ground.Picture, shade: ground.Picture, balance: ground.Picture, noise: ground.Picture, grain: np.float32
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
