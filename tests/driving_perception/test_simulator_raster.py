"""Which pixels are drawn, against where polygons and boxes are in continuous coordinates."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from apps.driving_perception.simulator import drawing, geometry, placing, shapes, world

SIDE = 64


def filled(*polygons: np.ndarray, width: int = SIDE, height: int = SIDE) -> np.ndarray:
    """Return which of some polygons is seen."""
    sizes = np.array([len(polygon) for polygon in polygons])
    starts = np.cumsum(sizes) - sizes
    narrowed, _ = placing.narrow(np.concatenate(polygons), starts)
    return placing.fill(narrowed, starts, np.arange(len(polygons)), width=width, height=height)


def rectangle(width: float, height: float, *, angle: float, middle: tuple[float, float] | np.ndarray) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([(-width, -height), (width, -height), (width, height), (-width, height)]) / 2
    turned: np.ndarray = corners @ turn.T + middle
    return turned


def inside(polygon: np.ndarray) -> np.ndarray:
    """Return how many pixels the middle of each pixel is inside a polygon that is wound clockwise on the screen."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    found = []
    for first, second in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along = (second - first) / np.linalg.norm(second - first)
        found.append(along[0] * (y - first[1]) - along[1] * (x - first[0]))
    nearest: np.ndarray = np.min(found, axis=0)
    return nearest


def edges(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def block_errors(depth: float, *, count: int) -> np.ndarray:
    """Return (count, 4) how many pixels the edges of drawn blocks, so many metres long, are from those of their boxes.

    They stand 9 m ahead in a picture of 120 pixels to a focal length, at any part of a pixel.
    """
    generator = np.random.default_rng(0)
    view = geometry.Camera(width=160, height=120, focal=120.0, horizon=60.0, above=1.5)
    street = geometry.Road(lanes=2, lane_metres=3.5, bend=0, turn=0, offset=0, sidewalk_metres=2, green=True)
    errors = []
    for _ in range(count):
        width, height = generator.uniform(0.6, 2.5, 2)
        faces = shapes.block((-width / 2, width / 2), (generator.uniform(0, 0.3), height), (0, depth), (200, 40, 40))
        thing = world.Thing(faces=faces, width=width, length=depth, label=0, distance=9)
        thing.lateral = generator.uniform(-2, 2)
        scene = world.Scene(
            camera=view, road=street, things=[thing], speed=0, travelled=0, time_of_day="day", weather="clear",
            sun=(0, 1, 0), visibility=500,
        )  # fmt: skip
        metres = np.full((120, 160), 400, np.float32)
        _, (found,) = drawing.draw(scene, np.full((120, 160, 3), 90, np.float32), metres)
        assert (metres < 400).sum() == found.silhouette
        errors.append(edges(metres < 400) - found.outline)
    return np.array(errors)


def test_a_board_is_drawn_where_its_box_is_without_a_bias_on_any_side() -> None:
    errors = block_errors(0.01, count=300)
    assert np.abs(errors).max() < 0.6
    # The mean of 300 errors that are even in half a pixel to either side has a deviation of 0.017.
    assert np.abs(errors.mean(axis=0)).max() < 0.06


def test_a_block_whose_sides_are_seen_as_slivers_is_drawn_where_its_box_is() -> None:
    errors = block_errors(1.0, count=300)
    assert np.abs(errors).max() < 1.05
    assert (np.abs(errors) < 0.6).mean() > 0.97
    assert np.abs(errors.mean(axis=0)).max() < 0.06


@hypothesis.given(
    strategies.floats(3, 30), strategies.floats(3, 30), strategies.floats(0, 6.3), strategies.floats(30, 34)
)
def test_a_pixel_is_filled_if_its_middle_is_inside(width: float, height: float, angle: float, middle: float) -> None:
    polygon = rectangle(width, height, angle=angle, middle=(middle, 64 - middle))
    mask, depth = filled(polygon) > 0, inside(polygon)
    # Corners are rounded to 1/64 of a pixel, and lines to whole pixels.
    assert mask[depth > 0.75].all()
    assert not mask[depth < -0.75].any()


def test_as_many_pixels_are_filled_as_a_polygon_is_large() -> None:
    generator = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        width, height = generator.uniform(5, 30, 2)
        polygon = rectangle(width, height, angle=generator.uniform(0, 6.3), middle=generator.uniform(30, 34, 2))
        shares.append((filled(polygon) > 0).sum() / (width * height))
    assert np.mean(shares) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("thickness", [0.0, 0.1, 0.9])
def test_what_is_thinner_than_a_pixel_is_a_line_one_pixel_thick(thickness: float) -> None:
    mask = filled(rectangle(20.0, thickness, angle=0.0, middle=(30.3, 40.4))) > 0
    assert edges(mask)[[0, 2]] == pytest.approx([20.3, 40.3], abs=1)
    assert mask.any(axis=1).sum() == 1
    assert mask[40].any()


def test_faces_that_share_an_edge_leave_no_crack() -> None:
    generator = np.random.default_rng(2)
    for _ in range(200):
        whole = rectangle(*generator.uniform(8, 30, 2), angle=generator.uniform(0, 6.3), middle=(32.0, 32.0))
        first, second = generator.uniform(0.2, 0.8, 2)
        a, b = whole[0] + first * (whole[1] - whole[0]), whole[3] + second * (whole[2] - whole[3])
        both = filled(np.stack([whole[0], a, b, whole[3]]), np.stack([a, whole[1], whole[2], b]))
        assert (both[inside(whole) > 1] > 0).all()
        assert set(np.unique(both)) == {0, 1, 2}


def test_nothing_grows_where_it_touches_the_border() -> None:
    assert edges(filled(rectangle(6, 6, angle=0, middle=(4, 4)), width=8, height=8)).tolist() == [1, 1, 7, 7]
