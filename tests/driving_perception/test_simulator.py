import numpy as np
import pytest

from apps.driving_perception import boxes as box
from apps.driving_perception import frames, simulator
from apps.driving_perception.simulator import drawing, geometry, shapes, surroundings, world


@pytest.fixture(scope="module")
def rendered() -> frames.Frames:
    return simulator.render(sequences=40, frames=2, seed=0, width=320, height=192)


def empty_scene(**changes: object) -> world.Scene:
    """A straight road in clear daylight with nothing on it."""
    view = geometry.Camera(width=400, height=300, focal=300.0, horizon=150.0, above=1.5)
    straight = geometry.Road(lanes=2, lane_metres=3.5, bend=0, turn=0, offset=0, sidewalk_metres=2, green=True)
    values: dict[str, object] = {
        "camera": view,
        "road": straight,
        "things": [],
        "speed": 0.0,
        "travelled": 0.0,
        "time_of_day": "day",
        "weather": "clear",
        "sun": (0.3, 1.0, 0.5),
        "visibility": 500.0,
    }
    return world.Scene(**{**values, **changes})  # type: ignore[arg-type]


def cube(
    distance: float, *, lateral: float = 0.0, side: float = 2.0, colour: shapes.Colour = (200, 40, 40)
) -> world.Thing:
    half = side / 2
    faces = shapes.block((-half, half), (0, side), (-half, half), colour)
    return world.Thing(
        faces=faces,
        label=0,
        lateral=lateral,
        distance=distance,
        heading=0,
        speed=0,
        crossing=0,
        track=0,
        width=side,
        length=side,
    )


def drawn_of(scene: world.Scene) -> list[drawing.Drawn]:
    generator = np.random.default_rng(0)
    picture, depth = surroundings.draw_empty(scene, surroundings.texture(0), generator)
    return drawing.draw(scene, picture, depth)[1]


def test_a_point_is_projected_as_worked_out_by_hand() -> None:
    view = geometry.Camera.of_view(width=200, height=100, degrees=90, above=1.5, pitch_degrees=0)
    # 2 m to the right, 0.5 m above the ground, 10 m ahead: 100 / 10 pixels a metre.
    assert view.project(np.array([2.0, 0.5, 10.0])).tolist() == pytest.approx([120, 60])
    assert view.ground_distance(np.array([65.0, 50.0])).tolist() == pytest.approx([10, np.inf])


def test_a_cube_has_the_box_that_its_nearest_face_has() -> None:
    (found,) = drawn_of(empty_scene(things=[cube(21.0)]))
    # Its rear face is 20 m ahead: 15 pixels a metre; the camera is 1.5 m up.
    assert found.outline == pytest.approx((185, 142.5, 215, 172.5), abs=0.6)
    assert found.distance == pytest.approx(20)


def test_a_cube_before_another_hides_what_it_covers() -> None:
    behind, before = cube(31.0, colour=(40, 40, 200)), cube(21.0, lateral=1.0)
    found = {each.thing is before: each for each in drawn_of(empty_scene(things=[behind, before]))}
    assert found[True].visible / found[True].silhouette > 0.97
    # 30 m ahead the hidden one spans 190 to 210; the other begins at 200 and is taller: half of it is seen.
    assert found[False].visible / found[False].silhouette == pytest.approx(0.5, abs=0.08)
    columns = simulator.label(found[False], width=400, height=300)
    assert columns is not None
    assert columns["occlusion"] in (1, 2)


def test_what_is_partly_outside_is_truncated_and_what_is_outside_is_not_labelled() -> None:
    # 10 m ahead 30 pixels are a metre: the near face ends at 430, 30 pixels outside; the far face, at 25 pixels a
    # metre, begins at 341.7.
    (half,) = drawn_of(empty_scene(things=[cube(11.0, lateral=200 / 30)]))
    columns = simulator.label(half, width=400, height=300)
    assert columns is not None
    assert columns["truncation"] == pytest.approx(30 / 88.3, abs=0.01)
    assert columns["xyxy"][2] == 400
    assert drawn_of(empty_scene(things=[cube(11.0, lateral=12.0)])) == []


def test_the_box_is_where_the_picture_changes() -> None:
    scene = empty_scene(things=[cube(15.0, lateral=1.0, colour=(255, 0, 255))])
    generator = np.random.default_rng(0)
    picture, depth = surroundings.draw_empty(scene, surroundings.texture(0), generator)
    _, (found,) = drawing.draw(scene, picture, depth)
    magenta = picture[..., 0] - picture[..., 1] > 60
    rows, columns = np.flatnonzero(magenta.any(axis=1)), np.flatnonzero(magenta.any(axis=0))
    assert (columns[0], rows[0]) == pytest.approx(found.outline[:2], abs=0.6)
    assert columns[-1] + 1 == pytest.approx(found.outline[2], abs=0.6)


def test_an_object_grows_as_focal_length_times_height_over_distance() -> None:
    heights = []
    for distance in (41.0, 21.0, 11.0):
        (found,) = drawn_of(empty_scene(things=[cube(distance)]))
        heights.append((found.outline[3] - found.outline[1]) * found.distance)
    assert heights == pytest.approx([600, 600, 600], rel=0.05)


def test_night_is_darker_and_fog_takes_contrast_with_distance() -> None:
    def taken(**changes: object) -> np.ndarray:
        scene = empty_scene(things=[cube(8.0, lateral=-3.0), cube(40.0, lateral=3.0)], **changes)
        generator = np.random.default_rng(0)
        picture, depth = surroundings.draw_empty(scene, surroundings.texture(0), generator)
        glow, _ = drawing.draw(scene, picture, depth)
        return surroundings.expose(scene, picture, depth, glow, np.random.default_rng(1)).astype(float)

    day, night, fog = taken(), taken(time_of_day="night"), taken(weather="fog", visibility=30.0)
    assert night.mean() < 0.5 * day.mean()

    def contrast(image: np.ndarray, x: int, y: int) -> float:
        """Red against green of the cube whose middle is there."""
        return float(image[y, x, 0] - image[y, x, 1])

    near, far = (60, 160), (223, 152)
    kept = [contrast(fog, *place) / contrast(day, *place) for place in (near, far)]
    assert kept[1] < 0.5 * kept[0] < 1


def test_the_same_seed_renders_the_same_bytes_and_more_sequences_change_none() -> None:
    one, again = (simulator.render(sequences=3, frames=1, seed=5, width=160, height=96) for _ in range(2))
    more = simulator.render(sequences=5, frames=1, seed=5, width=160, height=96)
    assert one.images.items.tolist() == again.images.items.tolist() == more.images.items[:3].tolist()
    other = simulator.render(sequences=3, frames=1, seed=6, width=160, height=96)
    assert one.images.items[0] != other.images.items[0]
    assert one.sha256 == again.sha256 != other.sha256


def test_boxes_lie_in_their_picture_and_every_class_and_condition_occurs(rendered: frames.Frames) -> None:
    boxes = rendered.boxes
    assert (boxes.xyxy[:, :2] >= 0).all()
    assert (boxes.xyxy[:, 2:] <= [320, 192]).all()
    assert box.area(boxes.xyxy).min() > 0
    assert set(boxes.label.tolist()) == set(range(len(world.CLASS_NAMES)))
    assert set(boxes.occlusion.tolist()) == {0, 1, 2}
    assert set(rendered.time_of_day.tolist()) == set(world.TIMES)
    assert set(rendered.weather.tolist()) == set(world.WEATHERS)
    assert np.isfinite(boxes.distance).all()
    assert rendered.synthetic
    assert "SYNTHETIC" in rendered.notes[0]


def test_a_track_is_one_object_that_moves(rendered: frames.Frames) -> None:
    boxes = rendered.boxes
    moved = 0
    for sequence in range(40):
        first, second = (
            {int(boxes.track[row]): row for row in np.flatnonzero(boxes.image == 2 * sequence + frame)}
            for frame in (0, 1)
        )
        for track in first.keys() & second.keys():
            assert boxes.label[first[track]] == boxes.label[second[track]]
            moved += boxes.distance[first[track]] != boxes.distance[second[track]]
    assert moved > 40
