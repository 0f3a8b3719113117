"""That nothing stands in anything else, and that the nearer hides the further: each derived a second time."""

import cv2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from apps.driving_perception.simulator import drawing, geometry, obstacles, placing, shapes, traffic, world

WIDTH, HEIGHT = 320, 192


def scene_of(*things: world.Thing) -> world.Scene:
    """Return a straight road in daylight with some things."""
    return world.Scene(
        camera=geometry.Camera(width=WIDTH, height=HEIGHT, focal=200.0, horizon=80.0, above=1.5),
        road=geometry.Road(lanes=2, lane_metres=3.5, bend=0, turn=0, offset=0, sidewalk_metres=2, green=True),
        things=list(things), speed=0, travelled=0, time_of_day="day", weather="clear", sun=(0.3, 1, 0.5),
        visibility=500,
    )  # fmt: skip


def block(x: tuple[float, float], z: tuple[float, float], *, height: float, colour: shapes.Colour) -> world.Thing:
    """Return a labelled block between these metres."""
    half, long = (x[1] - x[0]) / 2, (z[1] - z[0]) / 2
    faces = shapes.block((-half, half), (0, height), (-long, long), colour)
    return world.Thing(
        faces=faces, width=2 * half, length=2 * long, label=0, lateral=sum(x) / 2, distance=sum(z) / 2
    )  # fmt: skip


def drawn(scene: world.Scene) -> tuple[dict[int, drawing.Drawn], np.ndarray]:
    """Return by thing's identity what was drawn, and the picture."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.float32)
    depth = np.full((HEIGHT, WIDTH), 400, np.float32)
    _, found = drawing.draw(scene, picture, depth)
    return {id(each.thing): each for each in found}, picture


def hulls(scene: world.Scene) -> list[np.ndarray]:
    """Return the ground under the faces of each thing, from the corners of the faces themselves."""
    return [cv2.convexHull(each.corners[:, (0, 2)].astype(np.float32))[:, 0] for each in placing.place(scene)]


def common_area(first: np.ndarray, second: np.ndarray) -> float:
    """Return the area of two convex polygons, counter-clockwise: one is cut along each edge of the other in turn.

    Sutherland and Hodgman 1974; OpenCV finds nothing in common where edges lie on one line.
    """
    left = [tuple(corner) for corner in first]
    for start, end in zip(second, np.roll(second, -1, axis=0), strict=True):
        side = [float((end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0])) for x, y in left]
        kept = []
        for i, (corner, here) in enumerate(zip(left, side, strict=True)):
            (x, y), before = left[i - 1], side[i - 1]
            if before * here < 0:
                share = before / (before - here)
                kept.append((x + share * (corner[0] - x), y + share * (corner[1] - y)))
            if here >= 0:
                kept.append(corner)
        left = kept
    x, y = np.array(left).reshape(-1, 2).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def along_ray(polygon: np.ndarray, bearing: float) -> float:
    """Return how far ahead a ray from the camera, ``bearing`` metres aside for each ahead, first meets a polygon."""
    found = [np.inf]
    for (x0, z0), (x1, z1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        before, after = x0 - bearing * z0, x1 - bearing * z1
        if before * after < 0:
            found.append(z0 + (z1 - z0) * before / (before - after))
    return min(found)


rectangles = strategies.tuples(
    strategies.floats(-20, 20), strategies.floats(16, 60), strategies.floats(0.3, 6), strategies.floats(0.3, 13),
    strategies.floats(0, 6.3),
).map(
    lambda each: geometry.rectangles(
        np.array([-each[2], each[2], -each[3], each[3]]), np.array(each[0]), np.array(each[1]), np.array(each[4])
    )
)  # fmt: skip


@hypothesis.given(rectangles, rectangles)
def test_rectangles_have_a_gap_exactly_if_they_share_no_ground(first: np.ndarray, second: np.ndarray) -> None:
    gap = float(geometry.gap(first, second))
    assert gap == pytest.approx(float(geometry.gap(second, first)))
    if abs(gap) > 0.01:
        assert (common_area(first, second) > 0) == (gap < 0)


def test_a_gap_is_that_worked_out_by_hand() -> None:
    first = geometry.rectangles(np.array([-1.0, 1, -2, 2]), np.array(0.0), np.array(10.0), np.array(0.0))
    # Turned by 45 degrees a square of 2 m reaches 1.414 m to the left of its middle.
    second = geometry.rectangles(np.array([-1.0, 1, -1, 1]), np.array(4.0), np.array(10.0), np.array(np.pi / 4))
    assert float(geometry.gap(first, second)) == pytest.approx(4 - 1 - np.sqrt(2))


def test_nothing_stands_in_anything_else_in_any_frame_of_a_short_drive() -> None:
    pairs = 0
    for number in range(60):
        scene = world.build(np.random.default_rng((4, number)), width=WIDTH, height=HEIGHT)
        for _ in range(round(world.APART_SECONDS / world.SECONDS_PER_FRAME) + 1):
            grounds = hulls(scene)
            for row, thing in enumerate(scene.things):
                for other in range(row):
                    if thing.label != world.NOT_LABELLED or scene.things[other].label != world.NOT_LABELLED:
                        assert common_area(grounds[row], grounds[other]) == 0
                        pairs += 1
            world.step(scene, world.SECONDS_PER_FRAME)
    assert pairs > 50_000


def test_who_follows_in_a_lane_never_meets_who_leads() -> None:
    for number in range(60):
        generator = np.random.default_rng(number)
        street = scene_of().road
        speeds = traffic.lane_speeds(street, 12.0, generator)
        assert speeds[0] < 0 < speeds[1]
        for _ in range(20):
            course = traffic.course("truck", (2.5, 8.0), road=street, speeds=speeds, generator=generator)
            if course.speed:
                assert course.speed == speeds[int(course.lateral > 0)]


def test_obstacles_find_room_as_often_as_they_are_asked_for() -> None:
    counts = [
        sum(thing.label != world.NOT_LABELLED for thing in world.build(
            np.random.default_rng((5, number)), width=WIDTH, height=HEIGHT
        ).things)
        for number in range(150)
    ]  # fmt: skip
    # 1 to 13, each as often: 7, with a deviation of the mean of 0.31.
    assert np.mean(counts) == pytest.approx(7, abs=0.93)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_person_before_the_far_end_of_a_long_wall_is_seen_and_one_behind_its_near_end_is_not(side: int) -> None:
    wall = block((2.8, 3.4), (6, 32), height=6, colour=(180, 180, 170))
    wall.lateral *= side
    seen, pictures = [], []
    # The wall's middle is 19 m ahead. From 0 to (4.2, 10) one passes x = 3 m at 7.1 m, where the wall is.
    for x, z in ((2.2, 28.0), (4.2, 10.0)):
        person = block((x - 0.25, x + 0.25), (z - 0.25, z + 0.25), height=1.7, colour=(200, 30, 30))
        person.lateral *= side
        found, picture = drawn(scene_of(wall, person))
        seen.append((found[id(person)].visible, found[id(person)].silhouette))
        pictures.append(picture)
    assert seen[0][0] == seen[0][1] > 20
    assert seen[1][0] == 0 < seen[1][1]
    assert (pictures[0] != pictures[1]).any()


def test_a_bicycle_beside_a_bus_is_before_it_wherever_along_it() -> None:
    bus = block((1.0, 3.5), (8, 20), height=3, colour=(60, 60, 160))
    for z in (13.0, 16.0, 19.0):
        before = block((0.3, 0.8), (z - 0.9, z + 0.9), height=1.8, colour=(200, 30, 30))
        behind = block((3.7, 4.2), (z - 0.9, z + 0.9), height=1.8, colour=(200, 30, 30))
        found, _ = drawn(scene_of(before, bus, behind))
        assert found[id(before)].visible == found[id(before)].silhouette
        assert found[id(behind)].visible == 0 < found[id(behind)].silhouette


@hypothesis.given(strategies.lists(rectangles, min_size=2, max_size=9))
def test_along_every_ray_the_nearer_is_drawn_later(wanted: list[np.ndarray]) -> None:
    grounds: list[np.ndarray] = []
    for each in wanted:
        if each[:, 1].min() > 0.5 and all(float(geometry.gap(each, other)) > 0.01 for other in grounds):
            grounds.append(each)
    hypothesis.assume(len(grounds) > 1)
    turn = np.argsort(geometry.things(np.stack(grounds)))
    for bearing in np.linspace(-3, 3, 241):
        metres = np.array([along_ray(each, bearing) for each in grounds])
        met = np.flatnonzero(np.isfinite(metres))
        assert turn[met[np.argsort(-metres[met])]].tolist() == sorted(turn[met].tolist())


def test_what_is_seen_of_an_object_is_its_silhouette_less_those_of_all_nearer_things() -> None:
    hidden = 0
    for number in range(30, 38):
        scene = world.build(np.random.default_rng((3, number)), width=WIDTH, height=HEIGHT)
        placed = {id(each.thing): each for each in placing.place(scene)}
        found, _ = drawn(scene)
        masks = {key: mask_of(each) for key, each in placed.items() if geometry.NEAREST_METRES <= each.nearest <= 150}
        for key, each in found.items():
            others = [masks[other] for other in masks if other != key and nearer(placed[other], placed[key])]
            seen = masks[key] & ~np.any([np.zeros((HEIGHT, WIDTH), bool), *others], axis=0)
            assert each.visible == pytest.approx(seen.sum(), abs=2)
            hidden += each.visible < each.silhouette
    assert hidden > 8


def mask_of(placed: placing.Placed) -> np.ndarray:
    """Return where a thing is drawn alone, in the whole picture."""
    seen = np.flatnonzero(placed.light)
    mesh = placed.thing.mesh
    return placing.fill(placed.narrowed, mesh.starts, seen, width=WIDTH, height=HEIGHT) > 0


def nearer(first: placing.Placed, second: placing.Placed) -> bool:
    """Return whether some ray over the ground meets the first before the second."""
    one, other = (cv2.convexHull(each.corners[:, (0, 2)].astype(np.float32))[:, 0] for each in (first, second))
    low, high = (each[:, 0] / each[:, 1] for each in (one, other))
    for bearing in np.linspace(max(low.min(), high.min()), min(low.max(), high.max()), 9)[1:-1]:
        distances = along_ray(one, bearing), along_ray(other, bearing)
        if all(map(np.isfinite, distances)):
            return distances[0] < distances[1]
    return False


MAKERS = {
    "car": obstacles.car,
    "truck": obstacles.truck,
    "bus": obstacles.bus,
    "motorcycle": lambda generator: obstacles.motorcycle(generator, phase=1.0),
    "bicycle": lambda generator: obstacles.cyclist(generator, phase=1.0),
    "person": lambda generator: obstacles.person(generator, phase=1.0),
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_face_that_is_seen_is_the_nearest_along_the_ray_of_each_pixel(name: str) -> None:
    wrong = []
    for number in range(12):
        faces, width, length = MAKERS[name](np.random.default_rng(number))
        thing = world.Thing(faces=faces, width=width, length=length, label=0, heading=number * np.pi / 6 + 0.1)
        thing.distance = 4 + length
        scene = scene_of(thing)
        (placed,) = placing.place(scene)
        _, picture = drawn(scene)
        expected = nearest_colour(placed, scene)
        both = mask_of(placed) & np.isfinite(expected).all(axis=2)
        wrong.append((np.abs(picture - expected).max(axis=2)[both] > 4).mean())
    # Limbs that cross each other, and edges of small faces.
    assert np.mean(wrong) < 0.08


def nearest_colour(placed: placing.Placed, scene: world.Scene) -> np.ndarray:
    """Return (height, width, 3) the colour of the face that the ray through each pixel's middle meets first."""
    view, mesh = scene.camera, placed.thing.mesh
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
    rays = np.stack([(x - WIDTH / 2) / view.focal, (view.horizon - y) / view.focal, np.ones_like(x)], axis=2)
    best, colour = np.full((HEIGHT, WIDTH), np.inf), np.full((HEIGHT, WIDTH, 3), np.nan)
    for face in np.flatnonzero(placed.light):
        corners = placed.corners[mesh.starts[face] : mesh.starts[face] + mesh.sizes[face]]
        normal = placed.normals[face]
        with np.errstate(divide="ignore"):
            metres = (normal @ corners[0]) / (rays @ normal)
        points = rays * metres[..., None]
        turns = [
            np.cross(second - first, points - first) @ normal
            for first, second in zip(corners, np.roll(corners, -1, axis=0), strict=True)
        ]
        meets = (np.all(np.array(turns) >= 0, axis=0) | np.all(np.array(turns) <= 0, axis=0)) & (metres < best)
        best[meets] = metres[meets]
        colour[meets] = np.minimum(mesh.colours[face] * placed.light[face], 255)
    return colour
