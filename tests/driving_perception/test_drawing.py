from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.driving_perception import classes, drawing, lane

NAMES = ("car", "truck", "bus", "person", "bicycle", "motorcycle")
GREY = 128


def blank(width: int = 400, height: int = 300) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def annotate(image: np.ndarray, *boxes: Sequence[float], labels: list[int] | None = None, **options: Any) -> np.ndarray:
    label = np.array(labels or [0] * len(boxes), np.int64)
    score = np.linspace(0.9, 0.5, len(boxes)) if boxes else np.empty(0)
    return drawing.annotate(image, np.array(boxes, np.float32).reshape(-1, 4), label, score, NAMES, **options)


def places_of(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return (n, 2) x and y of pixels of exactly one colour."""
    return np.argwhere((picture == colour).all(axis=2))[:, ::-1]


def test_a_box_is_drawn_in_the_colour_of_its_class_where_it_lies_and_the_picture_given_stays() -> None:
    image = blank()
    drawn = annotate(image, [50, 80, 150, 200], [220, 80, 320, 200], labels=[0, 1])
    assert (image == GREY).all()
    assert (drawn.shape, drawn.dtype) == (image.shape, image.dtype)
    for label, left in ((0, 50), (1, 220)):
        found = places_of(drawn, drawing.COLOURS[label])
        assert found[:, 0].min() == pytest.approx(left, abs=1)
        assert found[:, 1].max() == pytest.approx(200, abs=1)
        # The four sides, each in its middle.
        for x, y in ((left, 140), (left + 100, 140), (left + 50, 200)):
            assert drawn[y, x].tolist() == list(drawing.COLOURS[label])
    assert (drawn[110:190, 70:140] == GREY).all(), "nothing is drawn inside"


@pytest.mark.parametrize("background", [0, 128, 255])
def test_no_line_is_lost_on_dark_or_light_ground(background: int) -> None:
    image = np.full((300, 400, 3), background, np.uint8)
    drawn = annotate(
        image, [50, 80, 150, 200], truth=(np.array([[220.0, 80, 320, 200]]), np.array([0])), region=lane.Region()
    )
    for column in (50, 220):
        strip = drawn[100:180, column - 3 : column + 4].astype(int)
        assert strip.max() - strip.min() > 100


def test_true_boxes_are_dashed_and_the_corners_are_always_there() -> None:
    drawn = annotate(blank(), truth=(np.array([[50.0, 80, 350, 250], [10, 10, 20, 20]]), np.array([0, 1])))
    white = places_of(drawn, (255, 255, 255))
    side = np.unique(white[white[:, 1] == 250][:, 0])
    assert {50, 350} <= set(side.tolist())
    assert 0.3 < len(side) / 301 < 0.7, "about half of a side is drawn"
    assert (np.diff(side) > 1).sum() >= 5
    small = {(int(x), int(y)) for x, y in white if max(x, y) < 30}
    assert {(10, 10), (20, 20)} <= small
    assert (15, 10) not in small, "a small box is dashed too"


def test_the_way_turns_to_the_warning_colour_under_a_banner() -> None:
    region = lane.Region()
    plain = annotate(blank(), region=region)
    warned = annotate(blank(), region=region, banner="OBSTACLE AHEAD")
    corner = region.outline(width=400, height=300)[0]
    assert plain[corner[1], 200].tolist() == pytest.approx([200] * 3, abs=30)
    assert warned[corner[1], 200].tolist() == pytest.approx([190, 30, 45], abs=30)
    assert warned[2, 2].tolist() == [190, 30, 45]
    assert (plain[:100] == GREY).all()


def test_the_label_of_a_near_box_is_not_hidden_by_the_banner() -> None:
    """A box from the upper edge on: its plate must be below the banner, whole."""
    drawn = annotate(blank(), [40, 0, 360, 299], banner="OBSTACLE AHEAD")
    bare = annotate(blank(), [40, 0, 360, 299])
    banner = places_of(drawn, (190, 30, 45))[:, 1].max()

    def plate(picture: np.ndarray, above: int) -> int:
        inside = picture[above + 1 : 250, 45:355]
        return int((inside == drawing.COLOURS[0]).all(axis=2).sum())

    assert plate(drawn, int(banner)) > 0.9 * plate(bare, 1) > 200


def test_plates_hide_no_other_plate_where_there_is_room() -> None:
    drawn = annotate(blank(600, 400), [100, 150, 200, 300], [130, 150, 230, 300], labels=[0, 1])
    one, other = (places_of(drawn, drawing.COLOURS[label]) for label in (0, 1))
    alone = places_of(annotate(blank(600, 400), [130, 150, 230, 300], labels=[1]), drawing.COLOURS[1])
    assert (one[:, 1] < 145).sum() > 300, "the surest box has its plate above"
    assert (other[:, 1] < 145).sum() == 0
    assert (other[:, 1] > 305).sum() == pytest.approx((alone[:, 1] < 145).sum(), rel=0.2), "the other's is below"


@pytest.mark.parametrize(("number", "written"), [(7, True), (-1, False)])
def test_a_track_is_written_where_there_is_one(number: int, written: bool) -> None:
    box = [100, 100, 300, 250]
    drawn, bare = annotate(blank(), box, ids=np.array([number])), annotate(blank(), box)
    assert (drawn != bare).any() == written


def test_the_surest_box_lies_over_the_others() -> None:
    drawn = annotate(blank(), [50, 80, 150, 200], [50, 80, 150, 200], labels=[2, 3])
    assert drawn[140, 50].tolist() == list(drawing.COLOURS[2])


@given(
    st.lists(st.tuples(*[st.floats(-500, 900)] * 4), max_size=4),
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["", "OBSTACLE AHEAD"]),
)
def test_any_boxes_can_be_drawn_into_a_picture_of_any_size(
    boxes: list[tuple[float, ...]], width: int, height: int, banner: str
) -> None:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    drawn = annotate(
        blank(width, height),
        *corners.tolist(),
        truth=(corners, np.zeros(len(corners), int)),
        region=lane.Region(),
        banner=banner,
        ids=np.arange(len(corners)),
    )
    assert drawn.shape == (height, width, 3)


def test_lines_and_letters_grow_with_the_picture() -> None:
    thin = annotate(blank(300, 200), [50, 80, 150, 150])
    thick = annotate(blank(3000, 2000), [500, 800, 1500, 1500])
    sides = [(each == drawing.COLOURS[0]).all(axis=1) for each in (thin[120, 40:60], thick[1200, 450:550])]
    assert sides[0].sum() == 1
    assert sides[1].sum() == pytest.approx(9, abs=2)


def test_the_colours_differ_for_people_who_see_no_red_or_no_green_too() -> None:
    """Simulated after Vienot, Brettel and Mollon 1999, in linear light; compared in CIE Lab."""
    assert len(classes.CLASS_NAMES) >= len(NAMES)
    colours = np.array(drawing.COLOURS[: len(NAMES)], np.float64) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    blind = {
        "no red": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "no green": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
        "all": np.eye(3).tolist(),
    }
    for matrix in blind.values():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        lab = cv2.cvtColor(seen.astype(np.float32)[np.newaxis], cv2.COLOR_LRGB2Lab)[0]
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=2)
        assert distance[~np.eye(len(lab), dtype=bool)].min() > 10
