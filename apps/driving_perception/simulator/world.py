"""What stands where in a scene, and how it moves: one road, the own vehicle, obstacles, and what lines the road."""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from apps.driving_perception.simulator import geometry, obstacles, shapes, traffic

Floats = npt.NDArray[np.float64]

CLASS_NAMES = ("car", "truck", "bus", "motorcycle", "bicycle", "person")
NOT_LABELLED = -1
SECONDS_PER_FRAME = 0.4
# For so long, five frames after the first, nothing stands in or drives through anything else.
APART_SECONDS = 5 * SECONDS_PER_FRAME
TIMES, TIME_SHARES = ("day", "dusk", "night"), (0.6, 0.2, 0.2)
WEATHERS, WEATHER_SHARES = ("clear", "rain", "fog"), (0.6, 0.2, 0.2)

# Between footprints when things are placed. What closes in at 30 m/s moves 3 m from one moment looked at to the next:
# less than any two things are long that do so.
_CLEARANCE_METRES = 0.3
_MOMENTS = np.linspace(0.0, APART_SECONDS, 21)
_MOST_TRIES = 24
_SHARES = {"car": 0.42, "person": 0.19, "bicycle": 0.13, "truck": 0.1, "bus": 0.07, "motorcycle": 0.09}


@dataclasses.dataclass(eq=False, kw_only=True)
class Thing:
    """Something that stands or moves.

    Attributes:
        faces: In its own axes.
        width: Metres.
        length: Metres.
        label: Index into ``CLASS_NAMES``, or ``NOT_LABELLED``.
        track: Its number in the sequence.
        lateral: Metres to the right of the road's middle.
        distance: Metres ahead of the camera.
        heading: Radians from the road's direction to its front, to the right.
        speed: Metres a second along the road, relative to the ground.
        crossing: Metres a second across the road, to the right.
    """

    faces: list[shapes.Face]
    width: float
    length: float
    label: int = NOT_LABELLED
    track: int = -1
    lateral: float = 0.0
    distance: float = 0.0
    heading: float = 0.0
    speed: float = 0.0
    crossing: float = 0.0

    @functools.cached_property
    def mesh(self) -> shapes.Mesh:
        """Its faces as arrays."""
        return shapes.mesh(self.faces)

    @functools.cached_property
    def extent(self) -> Floats:
        """Left, right, rear, front of all its faces in its own axes, (4,) metres."""
        (left, _, rear), (right, _, front) = self.mesh.corners.min(axis=0), self.mesh.corners.max(axis=0)
        return np.array([left, right, rear, front])

    def follow(self, course: traffic.Course) -> None:
        """Be where a course begins, and move as it says."""
        self.lateral, self.distance, self.heading = course.lateral, course.distance, course.heading
        self.speed, self.crossing = course.speed, course.crossing


@dataclasses.dataclass(eq=False, kw_only=True)
class Scene:
    """One sequence.

    Attributes:
        camera: How it is seen.
        road: Where it goes.
        things: What is there.
        speed: Of the own vehicle, metres a second.
        travelled: Metres since the sequence began.
        time_of_day: One of ``TIMES``.
        weather: One of ``WEATHERS``.
        sun: Direction of the light: to the right, up, towards the camera.
        visibility: Metres after which fog leaves 1/e of the contrast.
    """

    camera: geometry.Camera
    road: geometry.Road
    things: list[Thing]
    speed: float
    travelled: float
    time_of_day: str
    weather: str
    sun: tuple[float, float, float]
    visibility: float


def build(generator: np.random.Generator, *, width: int, height: int) -> Scene:
    """Return a scene at its first moment."""
    view = geometry.Camera.of_view(
        width=width,
        height=height,
        degrees=float(generator.uniform(55, 85)),
        above=float(generator.uniform(1.25, 1.8)),
        pitch_degrees=float(generator.normal(1.0, 1.5)),
    )
    lanes = int(generator.choice([2, 2, 3, 4]))
    lane = float(generator.uniform(3.0, 3.7))
    own_lane = int(generator.integers(lanes // 2, lanes))
    road = geometry.Road(
        lanes=lanes,
        lane_metres=lane,
        bend=float(generator.normal(0, 0.0016)),
        turn=float(generator.normal(0, 0.015)),
        offset=-((own_lane + 0.5) * lane - lanes * lane / 2) + float(generator.normal(0, 0.25)),
        sidewalk_metres=float(generator.uniform(1.5, 3.5)),
        green=bool(generator.random() < 0.5),
    )
    weather = str(generator.choice(WEATHERS, p=WEATHER_SHARES))
    scene = Scene(
        camera=view,
        road=road,
        things=[],
        speed=float(generator.uniform(0, 16)),
        travelled=float(generator.uniform(0, 100)),
        time_of_day=str(generator.choice(TIMES, p=TIME_SHARES)),
        weather=weather,
        sun=(float(generator.uniform(-1, 1)), float(generator.uniform(0.4, 1)), float(generator.uniform(-0.6, 1))),
        visibility=float(generator.uniform(28, 75)) if weather == "fog" else float(generator.uniform(250, 700)),
    )
    ground = _Ground(scene)
    _line_the_road(scene, ground, generator)
    _put_obstacles(scene, ground, generator)
    return scene


def step(scene: Scene, seconds: float) -> None:
    """Let time pass."""
    scene.travelled += scene.speed * seconds
    for thing in scene.things:
        thing.distance += (thing.speed - scene.speed) * seconds
        thing.lateral += thing.crossing * seconds


def footprints_of(thing: Thing, scene: Scene, seconds: Floats | None = None, *, margin: float = 0.0) -> Floats:
    """Return (t, 4, 2) x and z in metres of the ground that a thing stands on, (t,) seconds from now; None: now."""
    later = np.zeros(1) if seconds is None else seconds
    distance = thing.distance + (thing.speed - scene.speed) * later
    x = np.asarray(scene.road.middle(distance)) + thing.lateral + thing.crossing * later
    return geometry.rectangles(
        thing.extent + margin * np.array([-1, 1, -1, 1]), x, distance, thing.heading + scene.road.direction(distance)
    )


class _Ground:
    """The ground that is taken, for ``APART_SECONDS``."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._taken = np.empty((0, len(_MOMENTS), 4, 2))
        self._low = self._high = self._taken[:, :, 0]

    def put(self, thing: Thing) -> bool:
        """Put a thing into the scene unless it would stand in another; return whether it did."""
        wanted = footprints_of(thing, self._scene, _MOMENTS)
        low, high = wanted.min(axis=1), wanted.max(axis=1)
        # Most are so far away that the upright boxes around them do not meet at any moment.
        margin = _CLEARANCE_METRES
        near = ((self._low < high + margin) & (self._high > low - margin)).all(axis=2).any(axis=1)
        if near.any() and (geometry.gap(wanted, self._taken[near]) < _CLEARANCE_METRES).any():
            return False
        self._taken = np.concatenate([self._taken, wanted[None]])
        self._low, self._high = np.concatenate([self._low, low[None]]), np.concatenate([self._high, high[None]])
        self._scene.things.append(thing)
        return True


def _put_obstacles(scene: Scene, ground: _Ground, generator: np.random.Generator) -> None:
    """Place up to some dozen obstacles where such things are."""
    names, shares = list(_SHARES), np.array(list(_SHARES.values()))
    speeds = traffic.lane_speeds(scene.road, scene.speed, generator)
    for track in range(int(generator.integers(1, 14))):
        name = str(generator.choice(names, p=shares / shares.sum()))
        faces, width, length = _obstacle(name, generator)
        thing = Thing(faces=faces, width=width, length=length, label=CLASS_NAMES.index(name), track=track)
        for _ in range(_MOST_TRIES):
            thing.follow(traffic.course(name, (width, length), road=scene.road, speeds=speeds, generator=generator))
            if ground.put(thing):
                break


def _obstacle(name: str, generator: np.random.Generator) -> tuple[list[shapes.Face], float, float]:
    """Return the faces, width and length of one of a class."""
    makers = {"car": obstacles.car, "truck": obstacles.truck, "bus": obstacles.bus}
    walkers = {"person": obstacles.person, "bicycle": obstacles.cyclist, "motorcycle": obstacles.motorcycle}
    if name in makers:
        return makers[name](generator)
    return walkers[name](generator, phase=float(generator.uniform(0, 2 * np.pi)))


def _line_the_road(scene: Scene, ground: _Ground, generator: np.random.Generator) -> None:
    """Put houses, trees, signs and cones along both sides."""
    town = generator.random()
    edge = scene.road.half_metres + scene.road.sidewalk_metres
    for side in (-1.0, 1.0):
        distance = float(generator.uniform(2, 14))
        while distance < 130:
            house = generator.random() < town
            faces, width, length = shapes.building(generator) if house else shapes.tree(generator)
            lateral = side * (edge + width / 2 + float(generator.uniform(1.0, 7.0)))
            ground.put(Thing(faces=faces, width=width, length=length, lateral=lateral, distance=distance + length / 2))
            distance += length + float(generator.uniform(0.5, 14))
    for _ in range(int(generator.integers(2, 9))):
        faces, width, length = shapes.distractor(generator)
        thing = Thing(faces=faces, width=width, length=length)
        for _ in range(_MOST_TRIES):
            beside = scene.road.half_metres + width / 2 + float(generator.uniform(0.1, 1.8))
            thing.lateral = float(generator.choice([-1.0, 1.0])) * beside
            thing.distance = float(generator.uniform(5, 60))
            if ground.put(thing):
                break
