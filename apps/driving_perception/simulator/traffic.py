"""Where an obstacle is on a road and how it moves: on foot, at the road's edge, parked, across the road, in a lane."""

import dataclasses

import numpy as np

from apps.driving_perception.simulator import geometry

# How often: a person on the road, a bicycle at its edge, a car that is parked, any other vehicle across the road. Of
# the last, three of five find no room there and end up elsewhere.
_WALKS_ACROSS, _AT_THE_EDGE, _PARKED, _CROSSES = 0.35, 0.7, 0.35, 0.25
_NEAREST_METRES, _FARTHEST_METRES = 5.0, 110.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """Where something is and how it moves.

    Attributes:
        lateral: Metres to the right of the road's middle.
        distance: Metres ahead of the camera.
        heading: Radians from the road's direction to its front, to the right.
        speed: Metres a second along the road, relative to the ground.
        crossing: Metres a second across the road, to the right.
    """

    lateral: float
    distance: float
    heading: float
    speed: float = 0.0
    crossing: float = 0.0


def lane_speeds(road: geometry.Road, own_speed: float, generator: np.random.Generator) -> tuple[float, ...]:
    """Return metres a second along the road of all that drives in a lane, from the left: none overtakes there."""
    pace = generator.uniform(0.4, 1.4, road.lanes) * own_speed + generator.uniform(0, 3, road.lanes)
    return tuple(np.where(np.arange(road.lanes) < road.lanes // 2, -pace, pace).tolist())


def course(
    name: str,
    size: tuple[float, float],
    *,
    road: geometry.Road,
    speeds: tuple[float, ...],
    generator: np.random.Generator,
) -> Course:
    """Return where an obstacle may be and how it moves.

    Args:
        name: Of its class.
        size: Its width and length in metres.
        road: Where it goes.
        speeds: From ``lane_speeds``.
        generator: Of everything.
    """
    width, length = size
    distance = float(np.clip(np.exp(generator.normal(np.log(20), 0.65)), _NEAREST_METRES, _FARTHEST_METRES))
    side = float(generator.choice([-1.0, 1.0]))
    if name == "person":
        return _on_foot(road, distance, side, generator)
    if name == "bicycle" and generator.random() < _AT_THE_EDGE:
        lateral, heading = side * (road.half_metres - float(generator.uniform(-0.8, 1.0))), 0.0 if side > 0 else np.pi
        pace = float(generator.uniform(2, 7))
        return Course(lateral=lateral, distance=distance, heading=heading, speed=side * pace)
    if name == "car" and generator.random() < _PARKED:
        turned = float(generator.choice([0.0, 0.0, 0.0, np.pi / 2]) + generator.normal(0, 0.05))
        lateral, heading = side * (road.half_metres + width / 2 + 0.1), turned + (0.0 if side > 0 else np.pi)
        return Course(lateral=lateral, distance=distance, heading=heading)
    if generator.random() < _CROSSES:
        return Course(
            lateral=float(generator.uniform(-1.5, 1.5)) * road.half_metres,
            distance=max(distance, 14.0),
            heading=side * np.pi / 2,
            crossing=side * float(generator.uniform(1, 7)),
        )
    return _in_lane(road, distance, length, speeds, generator)


def _on_foot(road: geometry.Road, distance: float, side: float, generator: np.random.Generator) -> Course:
    """Return a way across the road, or along it on the sidewalk."""
    if generator.random() < _WALKS_ACROSS:
        lateral = float(generator.uniform(-road.half_metres, road.half_metres))
        pace = float(generator.uniform(0.7, 1.6))
        return Course(lateral=lateral, distance=distance, heading=side * np.pi / 2, crossing=side * pace)
    lateral = side * (road.half_metres + float(generator.uniform(0.4, 0.4 + road.sidewalk_metres)))
    heading = float(generator.choice([0.0, np.pi]) + generator.normal(0, 0.4))
    pace = float(np.cos(heading) * generator.uniform(0.0, 1.6))
    return Course(lateral=lateral, distance=distance, heading=heading, speed=pace)


def _in_lane(
    road: geometry.Road, distance: float, length: float, speeds: tuple[float, ...], generator: np.random.Generator
) -> Course:
    """Return a place in a lane; before the own vehicle some room is left."""
    lane = int(generator.integers(0, road.lanes))
    lateral = (lane + 0.5) * road.lane_metres - road.half_metres + float(generator.normal(0, 0.2))
    oncoming = lane < road.lanes // 2
    in_front = not oncoming and abs(lateral + road.offset) < 1.6
    return Course(
        lateral=lateral,
        distance=max(distance, (9.0 if in_front else 6.0) + length / 2),
        heading=(np.pi if oncoming else 0.0) + float(generator.normal(0, 0.03)),
        speed=speeds[lane],
    )
