"""What the renderer says of its pictures, derived a second time from the pictures themselves."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from apps.driving_perception import boxes as box
from apps.driving_perception import simulator
from apps.driving_perception.simulator import drawing, geometry, shapes, surroundings, world
from shared import errors

WIDTH, HEIGHT = 320, 192


class Quiet(np.random.Generator):
    """Chance without any: no noise, neutral exposure and colours."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        del out
        return np.zeros(size, dtype)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        del scale
        return loc if size is None else np.full(size, loc)


def some_scenes(first: int, count: int) -> Iterator[world.Scene]:
    for number in range(first, first + count):
        yield world.build(np.random.default_rng((3, number)), width=WIDTH, height=HEIGHT)


def drawn(
    scene: world.Scene,
) -> tuple[list[drawing.Drawn], surroundings.Picture, surroundings.Picture, surroundings.Picture]:
    picture, depth = surroundings.draw_empty(scene, surroundings.texture(0), np.random.default_rng(1))
    glow, found = drawing.draw(scene, picture, depth)
    return found, picture, depth, glow


def photographed(scene: world.Scene) -> np.ndarray:
    """Return the picture as the camera gives it, but for noise and drops."""
    _, picture, depth, glow = drawn(scene)
    dry = dataclasses.replace(scene, weather="fog" if scene.weather == "fog" else "clear")
    return surroundings.expose(dry, picture, depth, glow, Quiet()).astype(int)


def silhouette(thing: world.Thing, scene: world.Scene) -> np.ndarray:
    """Return where one thing alone changes the distances of the empty scene."""
    _, _, depth, _ = drawn(dataclasses.replace(scene, things=[]))
    _, _, changed, _ = drawn(dataclasses.replace(scene, things=[thing]))
    seen: np.ndarray = changed != depth
    return seen


def edges(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_every_box_fits_the_pixels_of_its_object_drawn_alone() -> None:
    checked, cut_off = set(), 0
    for scene in some_scenes(0, 25):
        for each in drawn(scene)[0]:
            whole, mask = np.array(each.outline), silhouette(each.thing, scene)
            cut = box.clip(whole, width=WIDTH, height=HEIGHT)
            assert mask.sum() == each.silhouette
            if not mask.any():
                continue
            # What is thinner than a pixel, like an arm, is drawn as a line of pixels.
            if (whole == cut).all():
                assert edges(mask) == pytest.approx(cut, abs=1.1)
                checked.add(each.thing.label)
            else:
                # What is highest or lowest may be outside: the box is the whole one's part, and holds all that is seen.
                outer = cut + np.array([-1.1, -1.1, 1.1, 1.1])
                assert (edges(mask) >= outer)[:2].all()
                assert (edges(mask) <= outer)[2:].all()
                cut_off += 1
    assert checked == set(range(len(world.CLASS_NAMES)))
    assert cut_off > 5


def test_every_object_leaves_a_mark_on_the_picture_that_noise_does_not_drown() -> None:
    marks, sureness = [], []
    for scene in some_scenes(60, 40):
        if scene.time_of_day != "night" and scene.weather != "fog":
            continue
        whole = photographed(scene)
        for each in drawn(scene)[0]:
            columns = simulator.label(each, width=WIDTH, height=HEIGHT)
            if columns is None or columns["kind"] != box.OBJECT:
                continue
            others = [thing for thing in scene.things if thing is not each.thing]
            change = np.abs(whole - photographed(dataclasses.replace(scene, things=others))).max(axis=2)
            marks.append(np.sort(change.ravel())[-each.visible :].mean())
            # Noise in the dark has a deviation of 4.5: its mean over so many pixels is far smaller.
            sureness.append(marks[-1] / (4.5 / np.sqrt(each.visible)))
    assert len(marks) > 25
    assert min(sureness) > 5
    assert min(marks) > 4


def planted(**changes: object) -> drawing.Drawn:
    thing = world.Thing(
        faces=shapes.block((-1, 1), (0, 2), (-1, 1), (200, 40, 40)),
        label=0, lateral=0, distance=20, heading=0, speed=0, crossing=0, track=4, width=2, length=2,
    )  # fmt: skip
    values: dict[str, object] = {
        "thing": thing, "outline": (10.0, 20.0, 50.0, 60.0), "distance": 20.0, "silhouette": 1000, "visible": 1000,
        "contrast": 50.0,
    }  # fmt: skip
    return drawing.Drawn(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("visible", "level", "kind"), [(950, 0, 0), (949, 1, 0), (500, 1, 0), (499, 2, 0), (200, 2, 0), (199, 2, 2)]
)
def test_the_share_seen_gives_the_level_of_occlusion(visible: int, level: int, kind: int) -> None:
    columns = simulator.label(planted(visible=visible), width=100, height=100)
    assert columns is not None
    assert (columns["occlusion"], columns["kind"], columns["track"]) == (level, kind, 4)


@pytest.mark.parametrize(
    "changes", [{"distance": 80.1}, {"contrast": 5.9}, {"outline": (10.0, 20.0, 50.0, 35.9)}, {"visible": 150}]
)
def test_what_nobody_could_judge_is_a_region(changes: dict[str, object]) -> None:
    columns = simulator.label(planted(**changes), width=100, height=100)
    assert columns is not None
    assert columns["kind"] == box.REGION


def test_truncation_is_the_share_of_the_whole_box_that_is_outside() -> None:
    columns = simulator.label(planted(outline=(-30.0, 80.0, 10.0, 120.0)), width=100, height=100)
    assert columns is not None
    # 10 of 40 columns and 20 of 40 rows are inside: an eighth.
    assert columns["truncation"] == pytest.approx(7 / 8)
    assert columns["xyxy"].tolist() == [0, 80, 10, 100]
    assert simulator.label(planted(visible=0), width=100, height=100) is None


@hypothesis.given(
    degrees=strategies.floats(50, 90), above=strategies.floats(1, 2.5), pitch=strategies.floats(-4, 4),
    distance=strategies.floats(1, 200), across=strategies.floats(-20, 20),
)  # fmt: skip
def test_the_distance_of_a_ground_point_is_read_back_from_its_row(
    degrees: float, above: float, pitch: float, distance: float, across: float
) -> None:
    view = geometry.Camera.of_view(width=640, height=384, degrees=degrees, above=above, pitch_degrees=pitch)
    column, row = view.project(np.array([across, 0.0, distance]))
    assert view.ground_distance(np.array([row]))[0] == pytest.approx(distance, rel=1e-6)
    assert (column - 320) * distance / view.focal == pytest.approx(across, abs=1e-6)


def test_boxes_grow_and_distances_fall_as_the_own_vehicle_comes_nearer() -> None:
    for scene in some_scenes(0, 1):
        view = geometry.Camera(width=WIDTH, height=HEIGHT, focal=200.0, horizon=96.0, above=1.5)
        straight = dataclasses.replace(scene.road, bend=0.0, turn=0.0, offset=0.0)
        moving = dataclasses.replace(scene, camera=view, road=straight, speed=10.0, things=[planted().thing])
        seen = []
        for _ in range(4):
            (each,) = drawn(moving)[0]
            seen.append((each.distance, each.outline[3] - each.outline[1]))
            world.step(moving, 0.4)
        distances, heights = np.array(seen).T
        # Its near face begins 19 m ahead, and 4 m are driven between frames.
        assert distances == pytest.approx([19, 15, 11, 7])
        assert heights == pytest.approx(200 * 2 / distances, rel=0.02)


def test_fog_leaves_of_contrast_what_koschmieder_says() -> None:
    (scene,) = some_scenes(0, 1)
    foggy = dataclasses.replace(scene, weather="fog", time_of_day="day", visibility=40.0, speed=0.0)
    glow = np.zeros((HEIGHT, WIDTH), np.float32)

    def middle(level: float, metres: float) -> np.ndarray:
        flat, depth = np.full((HEIGHT, WIDTH, 3), level, np.float32), np.full((HEIGHT, WIDTH), metres, np.float32)
        exposed: np.ndarray = surroundings.expose(foggy, flat, depth, glow, Quiet())
        pixel: np.ndarray = exposed[HEIGHT // 2, WIDTH // 2].astype(float)
        return pixel

    contrasts = [middle(200, metres) - middle(20, metres) for metres in (0.0, 20.0, 40.0, 80.0)]
    for contrast, metres in zip(contrasts, (0, 20, 40, 80), strict=True):
        assert contrast == pytest.approx(180 * np.exp(-metres / 40), abs=1.5)


@hypothesis.given(strategies.integers(0, 300))
def test_bands_hold_every_row_once(rows: int) -> None:
    assert np.concatenate([np.arange(rows)[band] for band in surroundings.bands(rows)] + [[]]).tolist() == list(
        range(rows)
    )


def test_many_windows_at_once_are_those_made_one_by_one_and_lie_before_the_wall() -> None:
    wall = shapes.block((-4, 4), (0, 6), (-5, 5), (200, 200, 200))[0]
    amounts = np.array([(0.1, 0.3, 0.2, 0.5), (0.5, 0.9, 0.0, 1.0)])
    together = shapes.parts(wall, amounts)
    for corners, amount in zip(together, amounts, strict=True):
        assert shapes.inset(wall, tuple(amount), (0, 0, 0)).corners.tolist() == corners.tolist()
    # The wall is 8 m wide, 6 m high, 5 m before the middle: worked out by hand, 1 cm nearer to who looks at it.
    expected = [(-3.2, 1.2, -5.01), (-1.6, 1.2, -5.01), (-1.6, 3.0, -5.01), (-3.2, 3.0, -5.01)]
    assert together[0] == pytest.approx(np.array(expected))


def test_a_texture_is_shared_and_cannot_be_written_on() -> None:
    assert surroundings.texture(3) is surroundings.texture(3)
    with pytest.raises(ValueError, match="read-only"):
        surroundings.texture(3)[0, 0] = 1.0


def test_conditions_come_in_the_shares_that_are_stated() -> None:
    found = list(some_scenes(0, 300))
    for times, names, shares in (
        ([scene.time_of_day for scene in found], world.TIMES, world.TIME_SHARES),
        ([scene.weather for scene in found], world.WEATHERS, world.WEATHER_SHARES),
    ):
        # Three standard deviations of a share of 300.
        for name, share in zip(names, shares, strict=True):
            assert times.count(name) / 300 == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / 300))
    metres = np.array([thing.distance for scene in found for thing in scene.things if thing.label >= 0])
    assert ((metres > 8) & (metres < 50)).mean() > 0.7


def test_hashes_name_the_recipe_and_not_the_pixels() -> None:
    small, large = (simulator.render(sequences=2, frames=2, seed=1, width=width, height=64) for width in (96, 128))
    assert len(set(small.images.content_hashes.tolist())) == 4
    assert not set(small.images.content_hashes.tolist()) & set(large.images.content_hashes.tolist())
    assert small.seconds.tolist() == [0.0, world.SECONDS_PER_FRAME] * 2


@pytest.mark.parametrize("wrong", [{"sequences": 0}, {"frames": 0}, {"seed": -1}, {"width": 31}, {"height": 0}])
def test_settings_out_of_range_are_refused_by_name(wrong: dict[str, int]) -> None:
    (field,) = wrong
    with pytest.raises(errors.InputError, match=f"road-scenes, {field}: expected at least .* Received: "):
        simulator.render(**{"sequences": 1, "frames": 1, "seed": 0, **wrong})
