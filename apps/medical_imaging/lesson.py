"""The app's question in its smallest form, for ``fieldnets explain-training``: two numbers to be checked by eye."""

import numpy as np

from apps.medical_imaging.simulator import phantoms
from shared.training import by_hand

PATIENTS, SIDE = 110, 64
# Where the lungs are on most of these films, in shares of the side; the left of the picture is the patient's right.
TOP, BOTTOM, EDGES = 0.35, 0.7, (0.12, 0.38, 0.62, 0.88)


def problem(seed: int) -> by_hand.Problem:
    """Ask of simulated chest films whether they show an opacity, by how bright the lungs are.

    Grey values count from the film's mean in its standard deviations. Two numbers do not hold what an opacity looks
    like: a network that sees the film does far better.
    """
    made = phantoms.generate(phantoms.Settings(patients=PATIENTS, image_size=SIDE, subtlety=(0.0, 0.4), seed=seed))
    grey = made.images.astype(np.float64)
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    grey /= grey.std(axis=(1, 2), keepdims=True)
    left, right, other_left, other_right = (int(edge * SIDE) for edge in EDGES)
    lungs = [grey[:, int(TOP * SIDE) : int(BOTTOM * SIDE), a:b] for a, b in ((left, right), (other_left, other_right))]
    middle, bright = (np.stack([np.percentile(lung, share, axis=(1, 2)) for lung in lungs]) for share in (50, 90))
    return by_hand.Problem(
        title="Does a chest film show an opacity?",
        features=("median of the brighter lung", "difference of the lungs' bright parts"),
        classes=phantoms.CLASS_NAMES,
        raw=np.column_stack([middle.max(axis=0), np.abs(bright[0] - bright[1])]),
        labels=made.labels,
        names=[f"film {number} of {patient}" for number, patient in enumerate(made.patients)],
    )
