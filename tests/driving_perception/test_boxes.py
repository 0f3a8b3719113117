import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from apps.driving_perception import boxes as box

COORDINATES = st.integers(0, 40)


@given(hnp.arrays(np.int64, (2, 4), elements=COORDINATES))
def test_overlap_is_what_counting_pixels_gives(corners: np.ndarray) -> None:
    masks = np.zeros((2, 41, 41), bool)
    for mask, (left, top, right, bottom) in zip(masks, corners, strict=True):
        mask[top:bottom, left:right] = True
    shared, union = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
    found = box.iou(corners[:1].astype(float), corners[1:].astype(float))[0, 0]
    assert found == pytest.approx(shared / union if union else 0.0)
    assert box.area(corners).tolist() == masks.sum(axis=(1, 2)).tolist()


def test_boxes_are_sorted_by_image_and_what_is_unknown_says_so() -> None:
    boxes = box.Boxes.build(image=[2, 0, 2], xyxy=np.arange(12).reshape(3, 4), label=[0, 1, 2])
    assert boxes.image.tolist() == [0, 2, 2]
    assert boxes.label.tolist() == [1, 0, 2]
    assert set(boxes.occlusion.tolist()) == {box.UNKNOWN}
    assert np.isnan(boxes.distance).all()


def test_the_boxes_of_some_images_are_numbered_in_the_order_asked_for() -> None:
    boxes = box.Boxes.build(image=[0, 1, 1, 3], xyxy=np.zeros((4, 4)), label=[5, 6, 7, 8])
    found = boxes.of_images(np.array([3, 2, 1]))
    assert found.image.tolist() == [0, 2, 2]
    assert found.label.tolist() == [8, 6, 7]


def test_a_box_is_cut_to_its_image() -> None:
    assert box.clip(np.array([[-3.0, 2, 50, 9]]), width=20, height=8).tolist() == [[0, 2, 20, 8]]
