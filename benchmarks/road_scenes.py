"""Frames of ``road-scenes`` a second: of one core and all at once, and where the time goes.

``python -m benchmarks.road_scenes``
"""

import os
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

SEQUENCES, FRAMES, SIZE, ROUNDS = 24, 2, (640, 384), 5


def main() -> None:
    from apps.driving_perception import simulator

    alone, together, processor = [], [], []
    render(simulator, 1)
    for _ in range(ROUNDS):
        started = time.process_time()
        alone.append(timed(lambda: [render(simulator, 1, seed=seed) for seed in range(SEQUENCES)]))
        # Of all threads: what one core would do alone, whatever else runs and wherever OpenCV computes.
        processor.append(time.process_time() - started)
        together.append(timed(lambda: render(simulator, SEQUENCES)))
    count = SEQUENCES * FRAMES
    core, one, every = (count / statistics.median(seconds) for seconds in (processor, alone, together))
    print(f"{count} frames of {SIZE[0]} x {SIZE[1]}, {os.cpu_count()} cores; median of {ROUNDS}")
    print(f"{core:.1f} frames per second of one core's time")
    print(f"one sequence after another {one:.1f} frames/s   all at once {every:.1f}   ratio {every / one:.2f}")
    spent = steps()
    for name, seconds in spent.items():
        share = seconds / sum(spent.values())
        print(f"  {name:28s} {1000 * seconds / count:5.1f} ms a frame   {100 * share:3.0f} %")


def render(scenes: object, sequences: int, *, seed: int = 0) -> object:
    return scenes.render(sequences=sequences, frames=FRAMES, seed=seed, width=SIZE[0], height=SIZE[1])


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def steps() -> dict[str, float]:
    """Return the seconds that each step takes for all frames, on one thread."""
    from apps.driving_perception.simulator import drawing, surroundings, world

    spent: dict[str, float] = {}

    def measure(name: str, action: Callable[[], object]) -> object:
        started = time.perf_counter()
        found = action()
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - started
        return found

    for number in range(SEQUENCES):
        generator = np.random.default_rng(number)
        scene = measure("what stands where", lambda g=generator: world.build(g, width=SIZE[0], height=SIZE[1]))
        grain = surroundings.texture(number % 8)
        for _ in range(FRAMES):
            picture, depth = measure(
                "sky and ground", lambda s=scene, t=grain, g=generator: surroundings.draw_empty(s, t, g)
            )
            glow, _ = measure("things", lambda s=scene, p=picture, d=depth: drawing.draw(s, p, d))
            taken = measure(
                "light, weather and camera",
                lambda s=scene, p=picture, d=depth, shine=glow, g=generator: surroundings.expose(s, p, d, shine, g),
            )
            measure("JPEG", lambda t=taken: cv2.imencode(".jpg", t, [cv2.IMWRITE_JPEG_QUALITY, 92]))
            world.step(scene, world.SECONDS_PER_FRAME)
    return spent


if __name__ == "__main__":
    main()
