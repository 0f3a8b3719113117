"""What stands where in a scene, and how it moves: one road, the own vehicle, obstacles, and what lines the road."""

import dataclasses

import numpy as np

from apps.driving_perception.scenes import camera, people, shapes, surroundings, vehicles

CLASS_NAMES = ("car", "truck", "bus", "motorcycle", "bicycle", "person")
NOT_LABELLED = -1
SECONDS_PER_FRAME = 0.4
TIMES, TIME_SHARES = ("day", "dusk", "night"), (0.6, 0.2, 0.2)
WEATHERS, WEATHER_SHARES = ("clear", "rain", "fog"), (0.6, 0.2, 0.2)

_SHARES = {"car": 0.42, "person": 0.19, "bicycle": 0.13, "truck": 0.1, "bus": 0.07, "motorcycle": 0.09}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Road:
    """A road that bends: its middle at distance z lies ``bend * z ** 2 / 2 + turn * z`` metres to the right."""

    lanes: int
    lane_metres: float
    bend: float
    turn: float
    offset: float
    sidewalk_metres: float
    green: bool

    @property
    def half_metres(self) -> float:
        """Half of the road's width."""
        return self.lanes * self.lane_metres / 2

    def middle(self, distance: np.ndarray | float) -> np.ndarray | float:
        """Return x of the road's middle in metres."""
        return self.bend * distance**2 / 2 + self.turn * distance + self.offset


@dataclasses.dataclass(eq=False, kw_only=True)
class Thing:
    """Something that stands or moves.

    Attributes:
        faces: In its own axes.
        label: Index into ``CLASS_NAMES``, or ``NOT_LABELLED``.
        lateral: Metres to the right of the road's middle.
        distance: Metres ahead of the camera.
        heading: Radians from the road's direction to its front, to the right.
        speed: Metres a second along the road, relative to the ground.
        crossing: Metres a second across the road, to the right.
        track: Its number in the sequence.
        width: Metres.
        length: Metres.
    """

    faces: list[shapes.Face]
    label: int
    lateral: float
    distance: float
    heading: float
    speed: float
    crossing: float
    track: int
    width: float
    length: float


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

    camera: camera.Camera
    road: Road
    things: list[Thing]
    speed: float
    travelled: float
    time_of_day: str
    weather: str
    sun: tuple[float, float, float]
    visibility: float


def build(generator: np.random.Generator, *, width: int, height: int) -> Scene:
    """Return a scene at its first moment."""
    view = camera.Camera.of_view(
        width=width,
        height=height,
        degrees=float(generator.uniform(55, 85)),
        above=float(generator.uniform(1.25, 1.8)),
        pitch_degrees=float(generator.normal(1.0, 1.5)),
    )
    lanes = int(generator.choice([2, 2, 3, 4]))
    lane = float(generator.uniform(3.0, 3.7))
    own_lane = int(generator.integers(lanes // 2, lanes))
    road = Road(
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
    _line_the_road(scene, generator)
    _put_obstacles(scene, generator)
    return scene


def step(scene: Scene, seconds: float) -> None:
    """Let time pass."""
    scene.travelled += scene.speed * seconds
    for thing in scene.things:
        thing.distance += (thing.speed - scene.speed) * seconds
        thing.lateral += thing.crossing * seconds


def _put_obstacles(scene: Scene, generator: np.random.Generator) -> None:
    """Place up to some dozen obstacles where such things are: none stands in another."""
    names, shares = list(_SHARES), np.array(list(_SHARES.values()))
    taken: list[tuple[float, float, float]] = []
    for track in range(int(generator.integers(1, 14))):
        name = str(generator.choice(names, p=shares / shares.sum()))
        for _ in range(12):
            thing = _obstacle(name, scene, track, generator)
            free = all(
                abs(thing.lateral - lateral) > 1.9 or abs(thing.distance - distance) > (thing.length + length) / 2 + 1.2
                for lateral, distance, length in taken
            )
            if free:
                taken.append((thing.lateral, thing.distance, thing.length))
                scene.things.append(thing)
                break


def _obstacle(name: str, scene: Scene, track: int, generator: np.random.Generator) -> Thing:
    road = scene.road
    distance = float(np.exp(generator.normal(np.log(20), 0.65)))
    distance = min(max(distance, 5.0), 110.0)
    phase = float(generator.uniform(0, 2 * np.pi))
    makers = {"car": vehicles.car, "truck": vehicles.truck, "bus": vehicles.bus}
    walkers = {"person": people.person, "bicycle": people.cyclist, "motorcycle": people.motorcycle}
    faces, width, length = makers[name](generator) if name in makers else walkers[name](generator, phase=phase)
    lateral, heading, speed, crossing = 0.0, 0.0, 0.0, 0.0
    lane = int(generator.integers(0, road.lanes))
    beside = road.half_metres + (
        0.6 if name == "bicycle" else float(generator.uniform(0.4, 0.4 + road.sidewalk_metres))
    )
    side = float(generator.choice([-1.0, 1.0]))
    if name == "person":
        if generator.random() < 0.35:
            lateral = float(generator.uniform(-road.half_metres, road.half_metres))
            crossing = float(generator.choice([-1.0, 1.0]) * generator.uniform(0.7, 1.6))
            heading = np.sign(crossing) * np.pi / 2
        else:
            lateral, heading = side * beside, float(generator.choice([0.0, np.pi]) + generator.normal(0, 0.4))
            speed = float(np.cos(heading) * generator.uniform(0.0, 1.6))
    elif name == "bicycle" and generator.random() < 0.7:
        lateral, heading = side * (road.half_metres - float(generator.uniform(-0.8, 1.0))), 0.0 if side > 0 else np.pi
        speed = float(np.cos(heading) * generator.uniform(2, 7))
    elif name == "car" and generator.random() < 0.35:
        lateral = side * (road.half_metres + width / 2 + 0.1)
        heading = 0.0 if side > 0 else np.pi
        heading += float(generator.choice([0.0, 0.0, 0.0, np.pi / 2]) + generator.normal(0, 0.05))
    elif generator.random() < 0.1:
        lateral, heading = float(generator.uniform(-1.5, 1.5)) * road.half_metres, float(side * np.pi / 2)
        crossing = float(side * generator.uniform(1, 7))
        distance = max(distance, 14.0)
    else:
        lateral = (lane + 0.5) * road.lane_metres - road.half_metres + float(generator.normal(0, 0.2))
        oncoming = lane < road.lanes // 2
        heading = (np.pi if oncoming else 0.0) + float(generator.normal(0, 0.03))
        pace = float(generator.uniform(0.4, 1.4)) * scene.speed + float(generator.uniform(0, 3))
        speed = -pace if oncoming else pace
        in_front = not oncoming and abs(lateral + road.offset) < 1.6
        distance = max(distance, 9.0 + length / 2 if in_front else 6.0 + length / 2)
    return Thing(
        faces=faces,
        label=CLASS_NAMES.index(name),
        lateral=float(lateral),
        distance=float(distance),
        heading=float(heading),
        speed=float(speed),
        crossing=float(crossing),
        track=track,
        width=width,
        length=length,
    )


def _line_the_road(scene: Scene, generator: np.random.Generator) -> None:
    """Put houses, trees, signs and cones along both sides."""
    town = generator.random()
    edge = scene.road.half_metres + scene.road.sidewalk_metres
    for side in (-1.0, 1.0):
        distance = float(generator.uniform(2, 14))
        while distance < 130:
            house = generator.random() < town
            faces, width, length = surroundings.building(generator) if house else surroundings.tree(generator)
            gap = float(generator.uniform(1.0, 7.0))
            lateral = side * (edge + width / 2 + gap)
            scene.things.append(_fixed(faces, lateral, distance + length / 2, 0.0, width, length))
            distance += length + float(generator.uniform(0.5, 14))
    for _ in range(int(generator.integers(2, 9))):
        faces, width, length = surroundings.distractor(generator)
        lateral = float(generator.choice([-1.0, 1.0])) * (scene.road.half_metres + float(generator.uniform(0.3, 2.0)))
        scene.things.append(_fixed(faces, lateral, float(generator.uniform(5, 60)), 0.0, width, length))


def _fixed(
    faces: list[shapes.Face], lateral: float, distance: float, heading: float, width: float, length: float
) -> Thing:
    return Thing(
        faces=faces,
        label=NOT_LABELLED,
        lateral=lateral,
        distance=distance,
        heading=heading,
        speed=0.0,
        crossing=0.0,
        track=-1,
        width=width,
        length=length,
    )
