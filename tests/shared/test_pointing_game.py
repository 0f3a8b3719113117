"""The pointing game against boxes and maps whose outcome is plain to see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.evaluation import intervals
from shared.explain import grad_cam

fractions = st.floats(0, 1, allow_nan=False)


def pointing_at(*places: tuple[int, int], size: int = 10) -> np.ndarray:
    maps = np.zeros((len(places), size, size), "float32")
    for heat, place in zip(maps, places, strict=True):
        heat[place] = 1
    return maps


def box(*edges: float) -> np.ndarray:
    return np.array([edges], "float32")


LEFT, RIGHT = box(0, 0, 0.5, 1), box(0.5, 0, 1, 1)


def test_hits_are_counted_and_chance_is_the_area_of_the_boxes() -> None:
    maps = pointing_at((1, 1), (8, 2), (5, 9), (5, 1))
    found = grad_cam.pointing_game(maps, [LEFT, LEFT, RIGHT, RIGHT])
    assert found.hits.tolist() == [True, True, True, False]
    assert found.rate.value == 0.75
    assert (found.rate.low, found.rate.high) == (intervals.wilson(3, 4).low, intervals.wilson(3, 4).high)
    assert found.chance == 0.5
    assert found.best_fixed_point == 0.5


def test_images_without_a_box_take_no_part() -> None:
    maps = pointing_at((1, 1), (1, 1), (1, 1))
    found = grad_cam.pointing_game(maps, [None, LEFT, np.zeros((0, 4))])
    assert found.rows.tolist() == [1]
    assert found.rate.value == 1


def test_a_flat_map_points_nowhere() -> None:
    assert not grad_cam.pointing_game(np.ones((1, 4, 4)), [box(0, 0, 1, 1)]).hits.any()


def test_any_of_several_boxes_may_be_hit() -> None:
    both = np.concatenate([box(0, 0, 0.1, 0.1), box(0.9, 0.9, 1, 1)])
    found = grad_cam.pointing_game(pointing_at((0, 0), (9, 9), (5, 5)), [both] * 3)
    assert found.hits.tolist() == [True, True, False]
    assert found.chance == pytest.approx(0.02)


def test_pointing_always_at_the_same_place_does_not_pass_where_the_findings_all_lie_there() -> None:
    sure = grad_cam.pointing_game(pointing_at(*[(5, 1)] * 50), [LEFT] * 50)
    assert sure.rate.value == sure.best_fixed_point == 1
    assert not sure.passed
    sides = pointing_at(*[(5, 1), (5, 8)] * 25)
    assert grad_cam.pointing_game(sides, [LEFT, RIGHT] * 25).passed
    assert not grad_cam.pointing_game(sides, [RIGHT, LEFT] * 25).passed


def test_images_of_one_patient_count_for_less() -> None:
    maps, boxes = pointing_at(*[(5, 1), (5, 8)] * 20), [LEFT] * 40
    alone = grad_cam.pointing_game(maps, boxes).rate
    patients = grad_cam.pointing_game(maps, boxes, units=np.repeat(["a", "b", "c", "d"], 10)).rate
    same = grad_cam.pointing_game(maps, boxes, units=np.tile(["a", "b", "c", "d"], 10)).rate
    assert patients.value == same.value == alone.value == 0.5
    assert same.high - same.low > alone.high - alone.low


@given(st.tuples(fractions, fractions, fractions, fractions))
def test_a_mask_covers_the_area_of_its_box_to_a_pixel_at_each_edge(edges: tuple[float, float, float, float]) -> None:
    left, right = sorted(edges[:2])
    top, bottom = sorted(edges[2:])
    marked = grad_cam.box_mask(np.array([[left, top, right, bottom]]), shape=(40, 25))
    for row in range(40):
        for column in range(25):
            centre = ((column + 0.5) / 25, (row + 0.5) / 40)
            assert marked[row, column] == (left <= centre[0] <= right and top <= centre[1] <= bottom)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([LEFT], "boxes for 2 maps. Received: 1"),
        ([None, None], "at least one image with a box. Received: none"),
        ([box(0.5, 0, 0.4, 1), None], "fractions. Received: "),
        ([box(10, 10, 20, 20), None], "fractions. Received: "),
    ],
)
def test_boxes_that_are_none_are_refused(boxes: list[np.ndarray | None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grad_cam.pointing_game(pointing_at((0, 0), (1, 1)), boxes)
