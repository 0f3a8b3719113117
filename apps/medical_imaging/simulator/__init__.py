"""Simulated chest radiographs, the default source: what is shown, where, and how hard it is to see are known.

``phantoms`` generates them. Here is what their parts share, from the body to the film: coordinates, lines and noise on
the film; attenuation, scatter, noise, grey values.

Body coordinates: x from -1 (the patient's right, left on the film) to 1, y from -1 (neck) to 1 (abdomen).
No TensorFlow.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float32]

# Lines are drawn this many times larger and then averaged, so that thin ones get soft edges.
_OVERSAMPLING = 2
# Linear attenuation per cm at about 70 keV (NIST XCOM: water 0.19, cortical bone 0.5; here bone instead of tissue).
TISSUE = 0.19
BONE = 0.32
METAL = 6.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """How the body lies on a square film.

    Attributes:
        size: Side of the film in pixels.
        degrees: Clockwise rotation of the body on the film.
        scale: Magnification; 1 fills the film.
        right: Shift to the right, in halves of the side.
        down: Shift downwards, in halves of the side.
    """

    size: int
    degrees: float = 0.0
    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0

    @property
    def pixel(self) -> float:
        """Width of one pixel in body coordinates."""
        return 2.0 / (self.size * self.scale)

    def body(self) -> tuple[Array, Array]:
        """Return x and y of every pixel's centre: two (size, size) float32 arrays in body coordinates."""
        line = film_positions(self.size)
        across, down = line[None, :] - np.float32(self.right), line[:, None] - np.float32(self.down)
        cosine, sine = self._turn()
        x = np.asarray(cosine * across + sine * down, dtype=np.float32)
        y = np.asarray(cosine * down - sine * across, dtype=np.float32)
        return x / np.float32(self.scale), y / np.float32(self.scale)

    def film(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (..., 2) film coordinates in [-1, 1] of (..., 2) points x, y of the body."""
        cosine, sine = self._turn()
        x, y = points[..., 0] * self.scale, points[..., 1] * self.scale
        return np.stack([cosine * x - sine * y + self.right, sine * x + cosine * y + self.down], axis=-1)

    def _turn(self) -> tuple[np.float32, np.float32]:
        radians = math.radians(self.degrees)
        return np.float32(math.cos(radians)), np.float32(math.sin(radians))


def film_positions(size: int) -> Array:
    """Return (size,) film coordinate in (-1, 1) of the pixels' centres along one side."""
    return ((np.arange(size) + 0.5) * (2.0 / size) - 1.0).astype(np.float32)


class Sheet:
    """A transparent sheet on which lines, discs and polygons are drawn; later strokes cover earlier ones."""

    def __init__(self, size: int) -> None:
        self._side = size * _OVERSAMPLING
        self._image = Image.new("L", (self._side, self._side))
        self._draw = ImageDraw.Draw(self._image)

    def paths(self, points: NDArray[np.float64], widths: NDArray[np.float64], tones: NDArray[np.float64]) -> None:
        """Draw n lines through (n, m, 2) film coordinates with (n,) widths in film units and (n,) tones in [0, 1]."""
        corners = self._place(points).reshape(len(points), -1).tolist()
        pixels = np.maximum(1, np.rint(widths * self._side / 2)).astype(int).tolist()
        # A line thinner than the sheet's pixels is drawn one pixel wide and paler.
        pale = np.minimum(1.0, widths * self._side / 2)
        fills = np.rint(255 * tones * pale).astype(int).tolist()
        for corner, width, fill in zip(corners, pixels, fills, strict=True):
            self._draw.line(corner, fill=fill, width=width)

    def path(self, points: NDArray[np.float64], *, width: float, tone: float = 1.0) -> None:
        """Draw one line through (n, 2) film coordinates."""
        self.paths(points[None], np.array([width]), np.array([tone]))

    def disc(self, centre: Sequence[float], *, radius: float, tone: float = 1.0) -> None:
        """Draw one filled disc at film coordinates."""
        x, y = self._place(np.asarray(centre, dtype=np.float64)).tolist()
        reach = max(radius * self._side / 2, 1.0)
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=round(255 * tone))

    def polygon(self, points: NDArray[np.float64], *, tone: float = 1.0) -> None:
        """Fill one polygon given as (n, 2) film coordinates."""
        self._draw.polygon(self._place(points).ravel().tolist(), fill=round(255 * tone))

    def read(self, *, softness: float = 0.0) -> Array:
        """Return what was drawn, (size, size) float32 in [0, 1], with edges blurred by ``softness`` in film units."""
        image = self._image.reduce(_OVERSAMPLING)
        if softness:
            image = image.filter(ImageFilter.GaussianBlur(softness * image.width / 2))
        return np.asarray(image, dtype=np.float32) / np.float32(255)

    def _place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (points + 1.0) * (self._side / 2) - 0.5


def smooth_noise(random: np.random.Generator, size: int, cells: int) -> Array:
    """Return (size, size) smooth noise, mean 0 and standard deviation 1, with features 1/cells of the side."""
    knots = random.standard_normal((cells, cells), dtype=np.float32)
    surface = _resized(Image.fromarray(knots), size, Image.Resampling.BICUBIC)
    return np.asarray((surface - surface.mean()) / surface.std())


def blurred(image: Array, cells: int) -> Array:
    """Return the image without detail finer than about 1/cells of its side, same shape."""
    averages = Image.fromarray(image).resize((cells, cells), Image.Resampling.BOX)
    return _resized(averages, image.shape[0], Image.Resampling.BICUBIC)


def _resized(image: Image.Image, size: int, method: Image.Resampling) -> Array:
    # Pillow, not a product of matrices: BLAS threads of a few microseconds' work wait for each other on a busy machine.
    return np.asarray(image.resize((size, size), method), dtype=np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exposure:
    """How one image was taken and processed.

    Attributes:
        quanta: Photons that reach a pixel of the open beam: more make less noise.
        scatter: Scattered share of the light behind the patient, in [0, 0.9].
        equalisation: Share of the coarse contrast that processing removes.
        window: Percentiles of the image that become black and white.
        gamma: Exponent of the display curve; above 1 darkens.
        shutters: Share of the film covered at left, top, right and bottom.
    """

    quanta: float
    scatter: float
    equalisation: float
    window: tuple[float, float]
    gamma: float
    shutters: tuple[float, float, float, float]


def expose(attenuation: Array, exposure: Exposure, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return the (size, size) uint8 radiograph of a (size, size) float32 attenuation along each beam.

    Transmitted light is exp(-attenuation) (Beer-Lambert); scatter adds a blurred copy; the count of photons varies as
    its square root, the normal limit of the Poisson law.
    """
    primary = np.exp(-attenuation)
    spread = blurred(np.minimum(primary, np.float32(0.3)), 6)
    light = primary + spread * np.float32(exposure.scatter / (1 - exposure.scatter))
    # Noise is set per area of film, so that a finer grid of pixels is a noisier one, as in a detector.
    quanta = exposure.quanta * (128 / attenuation.shape[0]) ** 2
    light = light + np.sqrt(light / np.float32(quanta)) * random.standard_normal(light.shape, dtype=np.float32)
    return _display(-np.log(np.maximum(light, np.float32(2e-4))), exposure)


def _display(density: Array, exposure: Exposure) -> NDArray[np.uint8]:
    """Return grey values: dense parts white, coarse differences reduced, shutters black."""
    flat = density - np.float32(exposure.equalisation) * blurred(density, 5)
    part = _open_part(exposure, flat.shape[0])
    opened = flat[part]
    middle = opened[opened.shape[0] // 8 :, opened.shape[1] // 10 : -opened.shape[1] // 10]
    low, high = np.percentile(middle[::2, ::2], exposure.window)
    grey = np.clip((flat - np.float32(low)) / np.float32(high - low), 0, 1) ** np.float32(exposure.gamma)
    shown = np.zeros(grey.shape, dtype=np.uint8)
    shown[part] = np.rint(grey[part] * np.float32(255)).astype(np.uint8)
    return shown


def _open_part(exposure: Exposure, size: int) -> tuple[slice, slice]:
    """Return the rows and columns that the shutters leave open."""
    left, top, right, bottom = (round(share * size) for share in exposure.shutters)
    return slice(top, size - bottom), slice(left, size - right)
