import json
import pathlib

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from pycocotools import coco as pycoco

from apps.driving_perception import boxes as box
from apps.driving_perception import lane, prediction_tables
from apps.driving_perception.readers import entries, source_files, table
from apps.driving_perception.tracking import tracker
from shared import batch

NAMES = ("car", "person")
REGION = lane.Region()
SIZE = (640, 480)
# The label, score and corners of each box of a picture.
Picture = list[tuple[int, float, list[float]]]


def said(*images: Picture, most: int = 5) -> dict[str, np.ndarray]:
    """Answer as the model does: padded with zeros, scores falling, the decision by the region."""
    count = len(images)
    found = {
        "boxes": np.zeros((count, most, 4), np.float32),
        "scores": np.zeros((count, most), np.float32),
        "classes": np.zeros((count, most), np.int32),
        "count": np.array([len(each) for each in images], np.int32),
        "decision": np.full(count, lane.CLEAR, object),
    }
    for row, boxes in enumerate(images):
        for i, (label, score, xyxy) in enumerate(boxes):
            found["boxes"][row, i], found["scores"][row, i], found["classes"][row, i] = xyxy, score, label
        if REGION.decide(found["boxes"][row, : len(boxes)], width=SIZE[0], height=SIZE[1]).any():
            found["decision"][row] = lane.AHEAD
    return found


def chunk(count: int, *, clip: str = "", pace: float = 10.0, start: int = 0) -> pd.DataFrame:
    numbers = np.arange(start, start + count)
    return pd.DataFrame(
        {
            "file": [clip or f'drive, 1/{number} "a".png' for number in numbers],
            "frame": numbers if clip else np.zeros(count, np.int64),
            "seconds": numbers / pace if clip else np.full(count, np.nan),
            "clip": [clip] * count,
        }
    )


def sizes(count: int) -> np.ndarray:
    return np.tile(np.array(SIZE, np.int64), (count, 1))


def approaching(count: int, *, distance: float = 60.0, speed: float = 20.0, pace: float = 10.0) -> list[Picture]:
    """A car in the middle of the way through a pinhole camera 1.3 m above the road, with another beside the way."""
    frames: list[Picture] = []
    for number in range(count):
        left = distance - speed * number / pace
        foot, tall, half = (600 * metres / left for metres in (1.3, 1.5, 0.9))
        frames.append([(0, 0.9, [320 - half, 240 + foot - tall, 320 + half, 240 + foot]), (1, 0.6, [20, 200, 40, 260])])
    return frames


def test_each_picture_has_a_row_with_what_is_in_it() -> None:
    images: list[Picture] = [
        [(0, 0.875, [200, 150, 440, 400.26]), (1, 0.5, [10, 20, 30, 60])],
        [],
        [(1, 0.25, [0, 0, 5, 5])],
    ]
    found = prediction_tables.rows(chunk(3), said(*images), sizes(3), NAMES)
    assert found["n"].tolist() == [2, 0, 1]
    assert found["n_car"].tolist() == [1, 0, 0], "what only fills the row is no car"
    assert found["n_person"].tolist() == [1, 0, 1]
    assert found["score"].tolist() == [0.875, 0.0, 0.25]
    assert found["decision"].tolist() == [lane.AHEAD, lane.CLEAR, lane.CLEAR]
    assert found["reason"].tolist() == [lane.NEAR, "", ""]
    assert found[["width", "height"]].to_numpy().tolist() == [list(SIZE)] * 3
    assert json.loads(found["boxes"][0]) == [
        {"class": "car", "score": 0.875, "xyxy": [200, 150, 440, 400.3]},
        {"class": "person", "score": 0.5, "xyxy": [10, 20, 30, 60]},
    ]
    assert json.loads(found["boxes"][1]) == []


def test_what_is_no_image_is_a_row_that_says_so() -> None:
    answer = {**said([]), "decision": np.array([lane.INVALID], object)}
    found = prediction_tables.rows(chunk(1), answer, np.zeros((1, 2), np.int64), NAMES)
    assert found[["decision", "reason", "n", "width"]].iloc[0].tolist() == [lane.INVALID, "", 0, 0]


def test_in_a_clip_what_closes_in_is_ahead_before_it_is_near() -> None:
    """61 m at 20 m/s: under 2.5 s left from 50 m on, near (a tenth of the height) only from 18.75 m on."""
    frames = approaching(24, distance=61)
    table = prediction_tables.rows(chunk(24, clip="a.mp4"), said(*frames), sizes(24), NAMES)
    followed = tracker.Follower(NAMES, REGION).follow(table)
    left = 61 - 2.0 * np.arange(24)
    expected = np.where(left <= 18.75, lane.NEAR, np.where(left / 20 < 2.5, lane.CLOSING, ""))
    assert followed["reason"].tolist() == expected.tolist()
    assert (followed["decision"] == np.where(expected == "", lane.CLEAR, lane.AHEAD)).all()
    assert set(table["decision"][5:20]) == {lane.CLEAR}, "one picture alone does not say so"
    for row, distance in enumerate(left):
        car, person = json.loads(followed["boxes"][row])
        assert (car["track"], person["track"], person["seconds_to_collision"]) == (1, 2, None)
        if row >= 2:
            assert car["seconds_to_collision"] == pytest.approx(distance / 20, rel=0.05)


def test_what_is_near_stays_the_reason_while_another_closes_in() -> None:
    near = (1, 0.5, [300.0, 300.0, 340.0, 440.0])
    frames = [[each[0], near] for each in approaching(20)]
    table = prediction_tables.rows(chunk(20, clip="a.mp4"), said(*frames), sizes(20), NAMES)
    followed = tracker.Follower(NAMES, REGION).follow(table)
    assert json.loads(followed["boxes"][19])[0]["seconds_to_collision"] < lane.SECONDS_TO_COLLISION
    assert set(followed["reason"]) == {lane.NEAR}


def test_what_closes_in_beside_the_way_is_not_ahead() -> None:
    frames = [
        [(label, score, [x0 - 250, y0, x1 - 250, y1]) for label, score, (x0, y0, x1, y1) in each[:1]]
        for each in approaching(20)
    ]
    table = prediction_tables.rows(chunk(20, clip="a.mp4"), said(*frames), sizes(20), NAMES)
    assert set(tracker.Follower(NAMES, REGION).follow(table)["decision"]) == {lane.CLEAR}


def test_every_clip_begins_with_new_tracks_and_pictures_of_none_stay_as_they_are() -> None:
    frames = approaching(4)
    parts = [
        prediction_tables.rows(chunk(4, clip=clip), said(*frames), sizes(4), NAMES)
        for clip in ("a.mp4", "a.mp4", "b.mp4", "")
    ]
    follower = tracker.Follower(NAMES, REGION)
    for part in parts[:3]:
        followed = follower.follow(part)
        tracks = [[each["track"] for each in json.loads(text)] for text in followed["boxes"]]
        assert tracks == [[1, 2]] * 4
        # A clip given again is not 0.3 s of standing still: after two frames nothing is known.
        assert json.loads(followed["boxes"][1])[0]["seconds_to_collision"] is None
    pd.testing.assert_frame_equal(follower.follow(parts[3]), parts[3])


@pytest.mark.parametrize("chunk_rows", [1, 5, 24])
def test_tracks_do_not_depend_on_the_chunks(chunk_rows: int) -> None:
    table = prediction_tables.rows(chunk(24, clip="a.mp4"), said(*approaching(24)), sizes(24), NAMES)
    follower = tracker.Follower(NAMES, REGION)
    parts = [follower.follow(table.iloc[start : start + chunk_rows]) for start in range(0, 24, chunk_rows)]
    pd.testing.assert_frame_equal(pd.concat(parts), tracker.Follower(NAMES, REGION).follow(table))


def read(path: pathlib.Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".jsonl":
        return pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    return pd.read_csv(path, keep_default_na=False, na_values={"seconds": [""]})


@pytest.mark.parametrize("suffix", batch.FORMATS)
def test_an_interrupted_output_goes_on_and_the_boxes_come_back_from_the_file(
    tmp_path: pathlib.Path, suffix: str
) -> None:
    """Two clips and images, chunks that are cut across them, killed in the fourth chunk of five."""
    frames = approaching(12)
    whole = pd.concat([chunk(12, clip="a.mp4"), chunk(3), chunk(9, clip="b.mp4")], ignore_index=True)
    images = [*frames, [], *frames[:2], *frames[:9]]
    left = [3]

    def score(part: pd.DataFrame) -> pd.DataFrame:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        rows = part.index
        return prediction_tables.rows(part, said(*[images[row] for row in rows]), sizes(len(rows)), NAMES)

    def predict(output: pathlib.Path, *, resume: bool = False) -> tuple[pd.DataFrame, batch.Result]:
        tables: list[pd.DataFrame] = []
        follower = tracker.Follower(NAMES, REGION)

        def finish(part: pd.DataFrame) -> pd.DataFrame:
            tables.append(follower.follow(part))
            return tables[-1]

        chunks = (whole.iloc[start : start + 5] for start in range(0, 24, 5))
        result = batch.predict(chunks, score, output=output, plan={}, resume=resume, finish=finish)
        return pd.concat(tables, ignore_index=True), result

    output = tmp_path / f"boxes{suffix}"
    with pytest.raises(KeyboardInterrupt):
        predict(output)
    assert not output.exists()
    left[0] = 9
    resumed, result = predict(output, resume=True)
    assert (result.rows, result.resumed_rows) == (24, 15)
    left[0] = 9
    straight, _ = predict(tmp_path / f"straight{suffix}")
    assert output.read_bytes() == (tmp_path / f"straight{suffix}").read_bytes()
    pd.testing.assert_frame_equal(resumed, straight)
    back = read(output)
    assert prediction_tables.to_coco(back, NAMES) == prediction_tables.to_coco(straight, NAMES)
    pd.testing.assert_frame_equal(prediction_tables.per_box(back), prediction_tables.per_box(straight))
    assert back["seconds"].isna().tolist() == [False] * 12 + [True] * 3 + [False] * 9


def test_the_coco_file_is_one_that_coco_loads_with_the_same_boxes(tmp_path: pathlib.Path) -> None:
    frames = approaching(6)
    plain = prediction_tables.rows(chunk(6), said(*frames), sizes(6), NAMES)
    followed = tracker.Follower(NAMES, REGION).follow(
        prediction_tables.rows(chunk(6, clip="a.mp4"), said(*frames), sizes(6), NAMES)
    )
    prediction_tables.write_coco(tmp_path / "boxes.json", [plain, followed], NAMES)
    loaded = pycoco.COCO(str(tmp_path / "boxes.json"))
    assert [each["name"] for each in loaded.loadCats([1, 2])] == list(NAMES)
    assert len(loaded.getImgIds()) == 12
    for image in loaded.getImgIds():
        found = loaded.loadAnns(loaded.getAnnIds(imgIds=[image]))
        for each, (label, score, xyxy) in zip(found, frames[(image - 1) % 6], strict=True):
            assert each["category_id"] == label + 1
            assert each["score"] == pytest.approx(score)
            left, top, width, height = each["bbox"]
            assert [left, top, left + width, top + height] == pytest.approx(xyxy, abs=0.051)
            assert each["area"] == pytest.approx(width * height, abs=0.01)
            assert ("track" in each) == (image > 6)
            assert each["iscrowd"] == 0
    results = loaded.loadRes(json.loads((tmp_path / "boxes.json").read_text())["annotations"])
    assert len(results.getAnnIds()) == 24


def test_a_row_for_each_box_is_a_table_of_boxes_that_can_be_read_as_labels(tmp_path: pathlib.Path) -> None:
    images: list[Picture] = [[(0, 0.9, [1, 2, 30, 40]), (1, 0.5, [5, 6, 7, 8.5])], [], [(1, 0.25, [0, 0, 5, 5])]]
    rows = prediction_tables.rows(chunk(3).assign(file=["0.png", "1.png", "2.png"]), said(*images), sizes(3), NAMES)
    found = prediction_tables.per_box(rows)
    assert found.columns.tolist() == [*prediction_tables.PICTURE, *prediction_tables.BOX]
    found.to_csv(tmp_path / "boxes.csv", index=False)
    for number in range(3):
        PIL.Image.new("RGB", (64, 48)).save(tmp_path / f"{number}.png")
    source = table.read(source_files.SourceFiles(tmp_path), options=entries.Options())
    back = {
        entry.name: [(thing.name, list(thing.xyxy), thing.track) for thing in entry.things] for entry in source.entries
    }
    assert back == {
        f"{number}.png": [(NAMES[label], xyxy, box.UNKNOWN) for label, _, xyxy in boxes]
        for number, boxes in enumerate(images)
    }


def test_no_box_at_all_is_an_empty_table_and_an_empty_list() -> None:
    rows = prediction_tables.rows(chunk(2), said([], []), sizes(2), NAMES)
    assert prediction_tables.per_box(rows).shape == (0, len(prediction_tables.PICTURE) + len(prediction_tables.BOX))
    found = prediction_tables.to_coco(rows, NAMES)
    assert (len(found["images"]), found["annotations"]) == (2, [])
