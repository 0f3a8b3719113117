"""What a detector says of some images: columns, all images' boxes one after another."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from apps.driving_perception import boxes as box


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """Boxes with scores, in order of their image and, within it, of falling score.

    Attributes:
        image: (m,) int64 row of the image, ascending.
        xyxy: (m, 4) float32 pixels of the original image.
        label: (m,) int64 index into the class names.
        score: (m,) float32 in [0, 1].
    """

    image: NDArray[np.int64]
    xyxy: box.Floats
    label: NDArray[np.int64]
    score: box.Floats

    def __len__(self) -> int:
        """Count the boxes."""
        return len(self.image)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Detections":
        """Return some boxes, by mask or position; the images keep their numbers."""
        return Detections(**{name: column[chosen] for name, column in vars(self).items()})

    @classmethod
    def build(cls, *, image: ArrayLike, xyxy: ArrayLike, label: ArrayLike, score: ArrayLike) -> "Detections":
        """Give columns their types and order; boxes with equal scores keep theirs.

        >>> Detections.build(image=[0, 0], xyxy=np.zeros((2, 4)), label=[3, 4], score=[0.1, 0.9]).label.tolist()
        [4, 3]
        """
        rows, scores = np.asarray(image, np.int64).reshape(-1), np.asarray(score, np.float32).reshape(-1)
        order = np.lexsort((-scores, rows))
        found: dict[str, Any] = {
            "image": rows,
            "xyxy": np.asarray(xyxy, np.float32).reshape(-1, 4),
            "label": np.asarray(label, np.int64).reshape(-1),
            "score": scores,
        }
        return cls(**{name: values[order] for name, values in found.items()})
