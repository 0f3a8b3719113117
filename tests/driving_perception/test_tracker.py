import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from apps.driving_perception import boxes as box
from apps.driving_perception.tracking import tracker as tracking


def square(x: float, y: float, side: float = 40.0) -> list[float]:
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def follow(
    frames: list[list[list[float]]],
    *,
    labels: list[list[int]] | None = None,
    scores: list[list[float]] | None = None,
    tracker: tracking.Tracker | None = None,
    pace: float = 10.0,
) -> list[list[int]]:
    """Feed frames of boxes to a tracker and return the numbers that they get."""
    tracker = tracker or tracking.Tracker()
    found = []
    for number, boxes in enumerate(frames):
        label = np.array(labels[number] if labels else [0] * len(boxes), np.int64)
        score = np.array(scores[number] if scores else [0.9] * len(boxes))
        xyxy = np.array(boxes, np.float32).reshape(-1, 4)
        found.append(tracker.update(xyxy, label, score, seconds=number / pace).tolist())
    return found


@given(st.floats(-12, 12), st.floats(-12, 12), st.floats(0.97, 1.03), st.permutations(range(3)), st.integers(5, 20))
def test_objects_that_move_at_constant_speed_keep_their_numbers_in_any_order(
    across: float, down: float, growth: float, order: list[int], count: int
) -> None:
    starts = np.array([(0, 0), (300, 0), (0, 300)], float)
    frames = []
    for number in range(count):
        middles = starts + np.array([across, down]) * number
        boxes = [square(x, y, 60 * growth**number) for x, y in middles]
        frames.append([boxes[place] for place in (order if number % 2 else (0, 1, 2))])
    for number, ids in enumerate(follow(frames)):
        expected = [place + 1 for place in (order if number % 2 else (0, 1, 2))]
        assert ids == expected


def test_objects_that_cross_keep_their_numbers() -> None:
    """Side by side in the middle they overlap by two thirds; only their speeds tell them apart."""
    frames = [[square(100 + 8 * n, 200), square(340 - 8 * n, 208)] for n in range(31)]
    middle = np.array(frames[15])
    assert box.iou(middle[:1], middle[1:])[0, 0] > 0.6
    assert follow(frames) == [[1, 2]] * 31
    # The order within a frame is no help.
    turned = [list(reversed(each)) if n % 2 else each for n, each in enumerate(frames)]
    assert follow(turned) == [[2, 1] if n % 2 else [1, 2] for n in range(31)]


def test_a_track_goes_on_after_a_gap_of_its_patience_and_not_after_a_longer_one() -> None:
    patience = tracking.Settings().patience
    for gap, same in ((patience, True), (patience + 1, False)):
        frames = [[square(100 + 6 * n, 200)] if n < 10 or n >= 10 + gap else [] for n in range(20 + gap)]
        ids = [each[0] for each in follow(frames) if each]
        assert (ids[-1] == ids[0]) == same
        assert ids[9] == 1


def test_a_false_alarm_gets_its_own_number_and_disturbs_no_track() -> None:
    frames = [[square(100 + 5 * n, 200), square(300 - 5 * n, 300)] for n in range(12)]
    frames[5].insert(1, square(130, 190))
    frames[7].append(square(600, 80))
    ids = follow(frames)
    assert ids[5] == [1, 3, 2]
    assert ids[7] == [1, 2, 4]
    assert [each for n, each in enumerate(ids) if n not in (5, 7)] == [[1, 2]] * 10


def test_a_track_keeps_its_class() -> None:
    ids = follow([[square(100, 100)]] * 3, labels=[[0], [1], [0]])
    assert ids == [[1], [2], [1]]


def test_a_weak_box_continues_a_track_and_begins_none() -> None:
    frames = [[square(100 + 4 * n, 100), square(400, 300)] for n in range(6)]
    scores = [[0.9 if n != 3 else 0.1, 0.2] for n in range(6)]
    assert follow(frames, scores=scores) == [[1, tracking.NO_TRACK]] * 6


def test_a_sure_box_is_joined_before_a_weak_one_that_overlaps_more() -> None:
    frames = [[square(100, 100)], [square(100, 100), square(110, 100)]]
    assert follow(frames, scores=[[0.9], [0.1, 0.9]]) == [[1], [tracking.NO_TRACK, 1]]


def test_pairs_that_may_not_be_joined_do_not_decide_about_those_that_may() -> None:
    """One pair overlaps well and leaves two that have no one else: joining those two crosswise is no better."""
    first = [square(100, 100), square(124, 100)]
    second = [square(102, 100), square(78, 100)]
    (well, little), (crosswise, none) = box.iou(np.array(first), np.array(second))
    assert well > little + crosswise
    assert min(little, crosswise) > tracking.Settings().overlap > none
    assert follow([first, second]) == [[1, 2], [1, 3]]


def test_a_box_that_overlaps_too_little_begins_a_track_of_its_own() -> None:
    least = tracking.Settings().overlap
    for shift, ids in ((23, [1]), (25, [2])):
        frames = [[square(100, 100)], [square(100 + shift, 100)]]
        assert (box.iou(np.array(frames[0]), np.array(frames[1]))[0, 0] >= least) == (ids == [1])
        assert follow(frames)[1] == ids


def test_frames_without_boxes_and_a_clip_without_any_give_no_numbers() -> None:
    assert follow([[], [square(50, 50)], []]) == [[], [1], []]
    assert tracking.Tracker().seconds_to_collision(np.empty(0, np.int64)).shape == (0,)


def test_the_same_frames_give_the_same_numbers() -> None:
    generator = np.random.default_rng(3)
    frames = [[square(*generator.uniform(0, 300, 2)) for _ in range(generator.integers(0, 9))] for _ in range(40)]
    assert follow(frames) == follow(frames)
    for ids in follow(frames):
        assert len(set(ids)) == len(ids), "two boxes of a frame never share a track"


def test_the_filter_says_what_the_same_filter_in_one_dimension_by_hand_says() -> None:
    """With a box of constant size its place and speed do not mix with the rest: a filter of two numbers must agree."""
    generator = np.random.default_rng(1)
    seen = 200 + 3.0 * np.arange(12) + generator.normal(0, 0.5, 12)
    tracker = tracking.Tracker()
    follow([[square(x, 100)] for x in seen], tracker=tracker)
    seen = seen.astype(np.float32).astype(float)
    (track,) = tracker._tracks
    place, speed = seen[0], 0.0
    (pp, ps, ss), side = ((0.05 * 40) ** 2, 0.0, (0.25 * 40) ** 2), 40.0
    for measured in seen[1:]:
        place, pp, ps, ss = place + speed, pp + 2 * ps + ss + (0.05 * side) ** 2, ps + ss, ss + (0.02 * side) ** 2
        whole = pp + (0.05 * side) ** 2
        gain, gain_speed, error = pp / whole, ps / whole, measured - place
        place, speed = place + gain * error, speed + gain_speed * error
        pp, ps, ss = (1 - gain) * pp, (1 - gain) * ps, ss - gain_speed * ps
    assert track.state[[0, 4]] == pytest.approx([place, speed], rel=1e-4)
    assert speed == pytest.approx(3.0, abs=0.3)


# --- time to collision ---


def approach(
    *, distance: float, speed: float, seconds: np.ndarray, focal: float = 900.0, tall: float = 1.5
) -> np.ndarray:
    """Heights in pixels, through a pinhole camera, of an object that is approached at constant speed [m, m/s]."""
    return focal * tall / (distance - speed * seconds)


@given(st.floats(5, 120), st.floats(0.5, 40), st.integers(3, 12), st.floats(2, 60))
def test_an_object_approached_at_constant_speed_is_reached_after_distance_by_speed(
    distance: float, speed: float, count: int, pace: float
) -> None:
    seconds = np.arange(count) / pace
    left = distance / speed - seconds[-1]
    if left < 0.05:
        return
    heights = approach(distance=distance, speed=speed, seconds=seconds)
    found = tracking.time_to_collision(list(zip(seconds, heights, strict=True)))
    assert found == pytest.approx(left, rel=1e-6)


@given(st.floats(0.1, 20), st.floats(0.1, 10))
def test_the_unit_of_pixels_changes_nothing_and_that_of_time_the_result_in_kind(size: float, time: float) -> None:
    heights = [(0.0, 10.0), (0.1, 11.0), (0.3, 12.0), (0.4, 13.5)]
    plain = tracking.time_to_collision(heights)
    scaled = tracking.time_to_collision([(when * time, height * size) for when, height in heights])
    assert scaled == pytest.approx(plain * time)


def test_the_line_is_that_of_least_squares() -> None:
    generator = np.random.default_rng(5)
    seconds = np.sort(generator.uniform(0, 1, 15))
    heights = approach(distance=30, speed=12, seconds=seconds) * (1 + 0.03 * generator.standard_normal(15))
    line = stats.linregress(seconds, 1 / heights)
    expected = -line.intercept / line.slope - seconds[-1]
    assert tracking.time_to_collision(list(zip(seconds, heights, strict=True))) == pytest.approx(expected)


@pytest.mark.parametrize(
    "heights",
    [
        [],
        [(0.0, 10.0), (0.1, 20.0)],
        [(0.0, 20.0), (0.1, 20.0), (0.2, 20.0)],
        [(0.0, 20.0), (0.1, 19.0), (0.2, 18.0)],
    ],
)
def test_what_does_not_grow_or_is_seen_too_seldom_is_never_reached(heights: list[tuple[float, float]]) -> None:
    assert tracking.time_to_collision(heights) == math.inf


def test_a_tracked_box_says_how_soon_it_is_reached() -> None:
    seconds = np.arange(25) / 10
    heights = approach(distance=40, speed=10, seconds=seconds)
    tracker = tracking.Tracker()
    ids = np.empty(0, np.int64)
    for when, height in zip(seconds, heights, strict=True):
        corners = np.array([square(400, 300, height), square(100, 300, 50)])
        ids = tracker.update(corners, np.zeros(2, np.int64), np.full(2, 0.9), seconds=float(when))
    assert tracker.seconds_to_collision(ids) == pytest.approx([40 / 10 - 2.4, math.inf])
    assert tracker.seconds_to_collision(np.array([tracking.NO_TRACK, 99])).tolist() == [math.inf, math.inf]


def test_only_the_last_second_counts() -> None:
    """An object that came nearer, and then no more, is not closing a second later."""
    tracker = tracking.Tracker()
    found = []
    for number in range(30):
        side = 40 + 2.0 * min(number, 12)
        ids = tracker.update(np.array([square(400, 300, side)]), np.zeros(1, int), np.ones(1), seconds=number / 10)
        found.append(float(tracker.seconds_to_collision(ids)[0]))
    assert np.isfinite(found[5:20]).all()
    assert np.isinf(found[22:]).all()
    (track,) = tracker._tracks
    assert [when for when, _ in track.heights] == pytest.approx(np.arange(19, 30) / 10)


def test_at_a_slow_pace_three_frames_are_looked_at() -> None:
    tracker = tracking.Tracker()
    for number in range(6):
        tracker.update(np.array([square(400, 300)]), np.zeros(1, int), np.ones(1), seconds=2.0 * number)
    (track,) = tracker._tracks
    assert [when for when, _ in track.heights] == [6.0, 8.0, 10.0]


def test_without_times_there_is_no_time_to_collision() -> None:
    tracker = tracking.Tracker()
    for side in (40, 44, 48, 53):
        ids = tracker.update(np.array([square(400, 300, side)]), np.zeros(1, int), np.ones(1))
    assert ids.tolist() == [1]
    assert tracker.seconds_to_collision(ids).tolist() == [math.inf]


@pytest.mark.parametrize("pace", [10, 25])
def test_a_box_that_only_trembles_is_not_closing_and_one_that_closes_in_is(pace: int) -> None:
    """Heights that tremble by 5 %, 300 steady objects and 300 that will be reached in 1.5 s at the end."""
    generator = np.random.default_rng(0)
    seconds = np.arange(2 * pace + 1) / pace
    noise = 1 + 0.05 * generator.standard_normal((600, len(seconds)))
    heights = noise * np.where(np.arange(600)[:, None] < 300, 40.0, 40 * 3.5 / (3.5 - seconds))
    tracker = tracking.Tracker(tracking.Settings(overlap=0.1))
    middles = 400.0 * np.stack([np.arange(600) % 25, np.arange(600) // 25], axis=1)
    for when, side in zip(seconds, heights.T, strict=True):
        corners = np.concatenate([middles - side[:, None] / 2, middles + side[:, None] / 2], axis=1)
        ids = tracker.update(corners, np.zeros(600, int), np.ones(600), seconds=float(when))
    assert len(np.unique(ids)) == 600
    flagged = tracker.seconds_to_collision(ids) < 2.5
    assert flagged[:300].mean() < 0.01
    assert flagged[300:].mean() > 0.97
