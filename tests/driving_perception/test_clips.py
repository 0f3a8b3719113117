"""Which pictures are one clip, and when they were taken: by their names, whatever the order in which they are given."""

import datetime
import json
import pathlib
import random

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.driving_perception import lane
from apps.driving_perception.tracking import clips, stream, tracker

LEFT, RIGHT = [100.0, 200.0, 150.0, 260.0], [300.0, 200.0, 380.0, 300.0]


def arranged(*names: str, rate: float = 10.0) -> tuple[list[tuple[str, str, int, float]], list[str]]:
    found = clips.arrange([pathlib.Path(name) for name in names], frames_per_second=rate)
    return [(str(each.path), each.clip, each.place, round(each.seconds, 6)) for each in found.frames], found.notes


def in_clips(*names: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, clip, _, _ in arranged(*names)[0]:
        found.setdefault(clip, []).append(path)
    return found


def test_two_cameras_in_one_folder_are_two_clips_that_begin_at_zero() -> None:
    names = [f"cams/{camera}_{number:04d}.jpg" for camera in ("front", "rear") for number in range(3)]
    frames, notes = arranged(*names)
    assert [(clip, place, seconds) for _, clip, place, seconds in frames] == [
        (f"cams/{camera}_*", place, place / 10) for camera in ("front", "rear") for place in range(3)
    ]
    assert notes == []


@given(st.permutations([f"{folder}/{number}.jpg" for folder in "ab" for number in (0, 1, 2, 10)]))
def test_the_order_of_the_inputs_changes_no_clip_and_no_time(names: list[str]) -> None:
    """As a shell spells */0.jpg */1.jpg out, or *.jpg with 10 before 2."""
    frames, _ = arranged(*names)
    first = names[0][0]
    assert [frame[1] for frame in frames] == [first] * 4 + ["b" if first == "a" else "a"] * 4
    assert [frame[2:] for frame in frames] == [(0, 0), (1, 0.1), (2, 0.2), (3, 1.0)] * 2


def test_dropped_frames_leave_a_gap_in_time_and_a_note_says_where() -> None:
    frames, notes = arranged(*(f"gap/frame_{number:04d}.jpg" for number in (1, 2, 3, 4, 9, 10)))
    assert [seconds for *_, seconds in frames] == [0, 0.1, 0.2, 0.3, 0.8, 0.9]
    assert [place for *_, place, _ in frames] == list(range(6))
    assert notes == ["gap: numbers jump from 4 to 9: frames are missing, and times go on after the gap"]


def test_every_twentieth_frame_is_twenty_steps_after_the_one_before() -> None:
    frames, notes = arranged(*(f"road/{number}.jpg" for number in (20, 40, 60, 120, 140)), rate=25)
    assert [seconds for *_, seconds in frames] == [0, 0.8, 1.6, 4.0, 4.8]
    assert notes == [
        "road: numbers go up by 20 a picture: pictures are taken as 0.8 s apart",
        "road: numbers jump from 60 to 120: frames are missing, and times go on after the gap",
    ]


def test_many_gaps_are_counted_after_the_first() -> None:
    _, notes = arranged(*(f"a/{number}.jpg" for start in range(0, 60, 10) for number in (start, start + 1, start + 2)))
    assert "from 2 to 10, from 12 to 20, from 22 to 30 and 2 times more" in notes[0]


@pytest.mark.parametrize(
    "names",
    [
        ["cam1_0001.jpg", "cam1_0002.jpg", "cam2_0001.jpg", "cam2_0002.jpg"],
        ["0001_cam1.jpg", "0002_cam1.jpg", "0001_cam2.jpg", "0002_cam2.jpg"],
        ["aachen_000000_000018_leftImg8bit.png", "aachen_000000_000019_leftImg8bit.png",
         "aachen_000001_000018_leftImg8bit.png", "aachen_000001_000019_leftImg8bit.png"],
        ["b1c66a42-0000001.jpg", "b1c66a42-0000002.jpg", "c7d1-0000001.jpg", "c7d1-0000002.jpg"],
        ["left_7.jpg", "left_8.jpg", "right_7.jpg", "right_8.jpg"],
        ["1_10.jpg", "1_11.jpg", "2_10.jpg", "2_11.jpg"],
        ["1.jpg", "2.jpg", "1.png", "2.png"],
    ],
)  # fmt: skip
def test_the_usual_ways_to_name_frames_are_two_clips_of_two(names: list[str]) -> None:
    found = in_clips(*(f"d/{name}" for name in random.Random(0).sample(names, len(names))))
    pairs = {frozenset(f"d/{name}" for name in pair) for pair in (names[:2], names[2:])}
    assert {frozenset(each) for each in found.values()} == pairs
    assert all(arranged(*each)[0] == [(path, "d", i, i / 10) for i, path in enumerate(each)] for each in found.values())


def test_a_single_series_of_cameras_by_number_is_a_clip() -> None:
    assert in_clips("d/camera0001.jpg", "d/camera0002.jpg") == {"d": ["d/camera0001.jpg", "d/camera0002.jpg"]}
    assert in_clips("d/camera.0001", "d/camera.0002") == {"d": ["d/camera.0001", "d/camera.0002"]}


def test_suffixes_may_change_within_a_series() -> None:
    assert in_clips("d/f1.jpg", "d/f2.JPG", "d/f3.png") == {"d": ["d/f1.jpg", "d/f2.JPG", "d/f3.png"]}


START = datetime.datetime(2024, 1, 5, 15, 30, 58, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "name",
    [
        lambda when: f"{when:%Y%m%d_%H%M%S}.jpg",
        lambda when: f"dash-{when:%Y-%m-%d %H.%M.%S}.{when.microsecond // 1000:03d}.jpg",
        lambda when: f"IMG_{when:%Y%m%d%H%M%S}{when.microsecond:06d}_front.jpg",
        lambda when: f"{when.timestamp():.0f}.jpg",
        lambda when: f"{when.timestamp():.6f}.png",
        lambda when: f"n015__CAM_FRONT__{when.timestamp() * 1e6:.0f}.jpg",
        lambda when: f"{when.timestamp() * 1e3:.0f}.jpg",
    ],
)
def test_times_in_names_are_taken_instead_of_the_rate(name) -> None:
    offsets = [0, 1, 2, 4, 65]
    names = [f"d/{name(START + datetime.timedelta(seconds=each))}" for each in offsets]
    frames, notes = arranged(*names, rate=30)
    assert [frame[1:] for frame in frames] == [("d", i, each) for i, each in enumerate(offsets)]
    assert notes[0] == "d: the numbers of the names are times; the frames per second that were given are not used"
    assert "numbers jump from 2 s to 4 s, from 4 s to 65 s" in notes[1]


def test_padded_numbers_and_impossible_dates_are_no_times() -> None:
    assert [frame[3] for frame in arranged("d/0000000003.png", "d/0000000004.png")[0]] == [0, 0.1]
    assert [frame[3] for frame in arranged("d/20249901_000001.jpg", "d/20249901_000002.jpg")[0]] == [0, 0.1]


def test_pictures_without_numbers_are_named_or_counted() -> None:
    frames, notes = arranged("d/b.jpg", "d/a.jpg", "e/1.jpg", "e/2.jpg", "e/cover.jpg")
    assert [frame[1] for frame in frames] == ["d", "d", "e/*", "e/*", ""]
    assert [frame[3] for frame in frames] == pytest.approx([0, 0.1, 0, 0.1, float("nan")], nan_ok=True)
    assert notes == [
        "d: no numbers in the names; the pictures are frames in the order of their names",
        "e: 1 pictures without a number are in no clip: cover.jpg",
    ]


def test_clips_of_one_picture_are_told() -> None:
    _, notes = arranged("a/street7_x.jpg", "a/park7.jpg", "a/lane_1.jpg", "a/lane_2.jpg")
    assert notes == ["2 clips hold one picture only: nothing can be followed in them"]


def test_a_picture_that_is_given_twice_begins_its_clip_anew() -> None:
    frames, _ = arranged("a/1.jpg", "a/2.jpg", "a/1.jpg")
    assert [(frame[0], frame[2]) for frame in frames] == [("a/1.jpg", 0), ("a/2.jpg", 1), ("a/1.jpg", 0)]


@given(st.lists(st.text("ab0192²٣_.", min_size=1, max_size=6), min_size=1, max_size=8))
def test_any_names_give_every_file_one_frame_and_times_that_grow(names: list[str]) -> None:
    paths = [pathlib.Path("d", f"{name}.png") for name in names]
    found = clips.arrange(paths, frames_per_second=10).frames
    assert sorted(frame.path for frame in found) == sorted(paths)
    last: dict[str, tuple[int, float]] = {}
    for frame in found:
        place, seconds = last.get(frame.clip, (-1, -1.0))
        if frame.clip and frame.place > place:
            assert frame.seconds > seconds
        last[frame.clip] = (frame.place, frame.seconds)


def followed(paths: list[pathlib.Path], boxes) -> pd.DataFrame:
    """Follow given boxes, a list of corners for each file's name, through files as they are listed."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (64, 38)).save(path)
    parts = [frame for frame, _ in stream.iterate(paths, chunk_rows=3, frames_per_second=10.0)]
    table = pd.concat(parts, ignore_index=True).assign(width=640, height=384, decision=lane.CLEAR, reason="")
    table["boxes"] = [
        json.dumps([{"class": "car", "score": 0.9, "xyxy": each} for each in boxes(pathlib.Path(name))])
        for name in table["file"]
    ]
    return tracker.Follower(["car"], lane.Region()).follow(table)


def test_no_track_goes_on_from_one_camera_to_the_next(tmp_path: pathlib.Path) -> None:
    paths = [tmp_path / "cams" / f"{camera}_{number}.jpg" for number in range(3) for camera in ("front", "rear")]
    table = followed(paths, lambda path: [RIGHT] if path.name.startswith("front") else [LEFT, RIGHT])
    tracks = [[each["track"] for each in json.loads(text)] for text in table["boxes"]]
    assert tracks == [[1]] * 3 + [[1, 2]] * 3
    assert table["seconds"].tolist() == [0, 0.1, 0.2] * 2


def test_clips_whose_pictures_are_given_in_turns_keep_their_tracks(tmp_path: pathlib.Path) -> None:
    paths = [tmp_path / folder / f"{number}.jpg" for number in range(3) for folder in "ab"]
    table = followed(paths, lambda path: [LEFT, RIGHT] if path.stem == "0" else [RIGHT, LEFT])
    tracks = [{each["xyxy"][0]: each["track"] for each in json.loads(text)} for text in table["boxes"]]
    assert tracks == [{LEFT[0]: 1, RIGHT[0]: 2}] * 6


def test_the_time_to_collision_is_right_after_a_gap(tmp_path: pathlib.Path) -> None:
    """A car 20 m ahead at number 0 that closes with 3 m/s, seen through a pinhole of which 1.5 m are 60 px at 20 m."""
    numbers = (1, 2, 3, 4, 9, 10)

    def car(path: pathlib.Path) -> list[list[float]]:
        tall = 60 * 20 / (20 - 0.3 * int(path.stem))
        return [[320 - 0.6 * tall, 300 - tall, 320 + 0.6 * tall, 300.0]]

    table = followed([tmp_path / f"{number}.jpg" for number in numbers], car)
    left = [json.loads(text)[0]["seconds_to_collision"] for text in table["boxes"]]
    assert left[:2] == [None, None]
    assert left[2:] == pytest.approx([(20 - 0.3 * number) / 3 for number in numbers[2:]], abs=0.01)


def test_a_gap_moves_a_track_on_by_as_many_steps_and_ends_it_beyond_its_patience(tmp_path: pathlib.Path) -> None:
    def passing(path: pathlib.Path) -> list[list[float]]:
        x = 20.0 * int(path.stem)
        return [[x, 200.0, x + 50, 250.0]]

    patience = tracker.Settings().patience
    for jump, same in ((5, True), (patience + 1, True), (patience + 2, False)):
        numbers = [*range(8), 7 + jump, 8 + jump]
        table = followed([tmp_path / str(jump) / f"{number}.jpg" for number in numbers], passing)
        tracks = [json.loads(text)[0]["track"] for text in table["boxes"]]
        assert tracks == [1] * 8 + [1 if same else 2] * 2, jump


def test_boxes_at_one_place_long_after_are_another_object() -> None:
    following = tracker.Tracker()
    box, label, score = np.array([RIGHT]), np.zeros(1, np.int64), np.ones(1)
    ids = [following.update(box, label, score, seconds=when).tolist() for when in (0.0, 0.1, 0.2, 600.0)]
    assert ids == [[1], [1], [1], [2]]
