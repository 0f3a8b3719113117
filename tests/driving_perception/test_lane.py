import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.driving_perception import config, lane
from shared import errors

SHARE = st.floats(0.02, 1.0)


def standing_at(x: float, y: float, *, tall: float = 30.0) -> np.ndarray:
    """A box of 20 pixels across whose lower edge has its middle at (x, y)."""
    return np.array([[x - 10, y - tall, x + 10, y]])


@given(SHARE, SHARE, st.floats(0.0, 0.95), st.floats(-0.2, 1.2), st.floats(-0.1, 1.1))
def test_the_way_holds_a_box_whose_foot_lies_in_its_outline(
    bottom: float, top_width: float, top: float, x: float, y: float
) -> None:
    region = lane.Region(bottom_width=bottom, top_width=top_width, top=top)
    width, height = 1000, 700
    foot = (x * width, y * height)
    outline = region.outline(width=width, height=height).astype(np.float32)
    inside = cv2.pointPolygonTest(outline.reshape(-1, 1, 2), foot, True)
    found = region.holds(standing_at(*foot), width=width, height=height)[0]
    # The outline is in whole pixels; below the picture the way goes on straight down.
    if abs(inside) > 1.5 and y <= 1:
        assert found == (inside > 0)


def test_the_way_goes_on_below_the_picture_where_boxes_reach_over_its_edge() -> None:
    region = lane.Region()
    assert region.holds(standing_at(500, 705), width=1000, height=700).tolist() == [True]
    assert region.holds(standing_at(900, 705), width=1000, height=700).tolist() == [False]


def test_near_is_what_stands_in_the_way_and_is_tall_enough() -> None:
    region = lane.Region(height_fraction=0.1)
    boxes = np.concatenate(
        [standing_at(500, 600, tall=71), standing_at(500, 600, tall=69), standing_at(100, 600, tall=300)]
    )
    assert region.decide(boxes, width=1000, height=700).tolist() == [True, False, False]
    assert region.holds(boxes, width=1000, height=700).tolist() == [True, True, False]


@given(st.floats(0.25, 8.0))
def test_the_size_of_the_picture_changes_no_decision(factor: float) -> None:
    generator = np.random.default_rng(0)
    corners = np.sort(generator.integers(0, 700, (60, 2, 2)), axis=1).reshape(60, 4)[:, [0, 1, 2, 3]].astype(float)
    region = lane.Region()
    expected = region.decide(corners, width=1001, height=701)
    assert 0 < expected.sum() < 60
    assert (region.decide(corners * factor, width=1001 * factor, height=701 * factor) == expected).all()


def test_no_box_is_no_obstacle() -> None:
    nothing = np.empty((0, 4))
    assert lane.Region().decide(nothing, width=10, height=10).shape == (0,)
    assert lane.Region().reasons(nothing, np.empty(0), width=10, height=10).shape == (0,)


def test_the_reason_is_nearness_before_closing_and_neither_beside_the_way() -> None:
    boxes = np.concatenate(
        [
            standing_at(500, 600, tall=200),
            standing_at(500, 420, tall=20),
            standing_at(500, 420, tall=20),
            standing_at(500, 420, tall=20),
            standing_at(20, 420, tall=20),
        ]
    )
    soon, later = lane.SECONDS_TO_COLLISION - 0.1, lane.SECONDS_TO_COLLISION + 0.1
    seconds = np.array([soon, soon, later, np.nan, soon])
    found = lane.Region().reasons(boxes, seconds, width=1000, height=700)
    assert found.tolist() == [lane.NEAR, lane.CLOSING, "", "", ""]


def test_the_settings_describe_the_usual_region() -> None:
    assert lane.Region.of(config.Config()) == lane.Region()
    assert lane.Region.of(config.Config(way_bottom=0.4, way_horizon=0.6)) == lane.Region(bottom_width=0.4, top=0.6)


def test_the_usual_numbers_are_those_of_the_camera_that_they_are_said_to_be_for() -> None:
    """A pinhole camera of 58 degrees, 1.3 m above a flat road, 1600 x 900 pixels."""
    width, height = 1600, 900
    focal = width / 2 / np.tan(np.radians(58) / 2)

    def seen(distance: float, *, across: float, tall: float) -> np.ndarray:
        foot, left, right = (focal * metres / distance for metres in (1.3, across - 0.9, across + 0.9))
        middle = (width / 2, height / 2)
        return np.array(
            [[middle[0] + left, middle[1] + foot - focal * tall / distance, middle[0] + right, middle[1] + foot]]
        )

    def near(distance: float, across: float = 0.0) -> bool:
        return bool(lane.Region().decide(seen(distance, across=across, tall=1.5), width=width, height=height)[0])

    assert near(8)
    assert near(23.5)
    assert not near(24.5)
    # A car in the next lane, 3.5 m beside, is in no way at the distances at which it is near.
    assert not any(near(distance, across=3.5) for distance in np.arange(5, 24, 0.5))


@pytest.mark.parametrize(
    "wrong", [{"bottom_width": 1.2}, {"top": -0.1}, {"top": 1.0}, {"height_fraction": float("nan")}]
)
def test_what_is_no_trapezoid_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(errors.InputError, match="expected fractions from 0 to 1"):
        lane.Region(**wrong)
