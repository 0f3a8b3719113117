"""The app's question in its smallest form, for ``fieldnets explain-training``: two numbers to be checked by eye."""

import numpy as np

from apps.driving_perception import boxes as box
from apps.driving_perception import simulator
from shared.training import by_hand

SEQUENCES, WIDTH, HEIGHT = 60, 320, 192
LEAST_PIXELS = 6


def problem(seed: int) -> by_hand.Problem:
    """Ask of boxes in rendered road scenes whether a car or a person is in them, by their shape and lower edge."""
    found = simulator.render(sequences=SEQUENCES, frames=1, seed=seed, width=WIDTH, height=HEIGHT)
    names = np.array(found.class_names, object)[found.boxes.label]
    left, top, right, bottom = found.boxes.xyxy.astype(np.float64).T
    usable = np.isin(names, ("pedestrian", "person", "car")) & (found.boxes.kind == box.OBJECT)
    usable &= np.minimum(right - left, bottom - top) >= LEAST_PIXELS
    labels = (names[usable] == "car").astype(np.int64)
    return by_hand.Problem(
        title="Is a car or a person in this box?",
        features=("width divided by height", "lower edge in shares of the picture's height"),
        classes=("person", "car"),
        raw=np.column_stack([((right - left) / (bottom - top))[usable], bottom[usable] / HEIGHT]),
        labels=labels,
        names=[
            f"box of {width:.0f} x {height:.0f} pixels"
            for width, height in zip((right - left)[usable], (bottom - top)[usable], strict=True)
        ],
    )
