"""What is labelled of what was drawn: boxes, how much is hidden or outside, and what nobody could label."""

from typing import Any

import numpy as np

from apps.driving_perception import boxes as box
from apps.driving_perception.scenes import drawing

# From these shares of the silhouette on a thing counts as fully, or still well, visible.
FULLY, PARTLY = 0.95, 0.5
# With less seen of it, smaller, further away or paler, it is a region: there is something, and it cannot be judged.
LEAST_VISIBLE, LEAST_HEIGHT_PIXELS, FARTHEST_METRES, LEAST_CONTRAST = 0.2, 16.0, 80.0, 6.0
# With this much outside the picture nothing of it is labelled.
MOST_OUTSIDE = 0.9


def label(drawn: drawing.Drawn, *, width: int, height: int) -> dict[str, Any] | None:
    """Return the columns of one box, or None for what is not in the picture."""
    outline = np.array(drawn.outline)
    inside = box.clip(outline, width=width, height=height)
    whole, part = float(box.area(outline)), float(box.area(inside))
    truncation = 1.0 - part / whole if whole > 0 else 1.0
    if not drawn.visible or truncation > MOST_OUTSIDE or part < 4:
        return None
    seen = drawn.visible / max(drawn.silhouette, 1)
    hard = (
        seen < LEAST_VISIBLE
        or inside[3] - inside[1] < LEAST_HEIGHT_PIXELS
        or drawn.distance > FARTHEST_METRES
        or drawn.contrast < LEAST_CONTRAST
    )
    return {
        "xyxy": inside,
        "label": drawn.thing.label,
        "kind": box.REGION if hard else box.OBJECT,
        "occlusion": 0 if seen >= FULLY else 1 if seen >= PARTLY else 2,
        "truncation": truncation,
        "distance": drawn.distance,
        "track": drawn.thing.track,
    }
