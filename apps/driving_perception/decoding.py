"""From the places of the network to boxes: scores, suppression of doubles, back to pixels of the image.

Only standard TensorFlow ops, the same in training's validation, in ``predict`` and in the exported model.
"""

from typing import Any

import tensorflow as tf

# What is far below any threshold in use, and yet counts in the tail of a precision-recall curve.
LEAST_SCORE = 0.01
# Places that can give a box, the best of each image; suppression compares each pair of them.
MOST_CANDIDATES = 1000


def boxes(places: Any, sizes: Any, *, most: int, overlap: float) -> dict[str, Any]:
    """Return the boxes of each image, best first.

    Args:
        places: (batch, n, classes + 7) float32 as ``model.build`` gives them.
        sizes: (batch, 2) float32 height and width in pixels of the canvas that the image fills.
        most: Boxes per image.
        overlap: Intersection over union from which the weaker of two boxes of one class is dropped.

    Returns:
        ``boxes`` (batch, most, 4) float32 in pixels of the canvas, cut to the image; ``scores`` (batch, most) float32;
        ``classes`` (batch, most) int32; rows after the first ``count`` (batch,) int32 are 0.
    """
    scores = tf.sigmoid(places[..., :-7])
    limits = tf.concat([sizes[:, ::-1], sizes[:, ::-1]], axis=1)[:, tf.newaxis]
    corners = tf.minimum(tf.maximum(places[..., -7:-3], 0.0), limits)
    kept = tf.minimum(tf.shape(scores)[1], MOST_CANDIDATES)
    best = tf.math.top_k(tf.reduce_max(scores, axis=2), kept).indices
    scores, corners = tf.gather(scores, best, batch_dims=1), tf.gather(corners, best, batch_dims=1)
    found = tf.image.combined_non_max_suppression(
        corners[:, :, tf.newaxis],
        scores,
        max_output_size_per_class=most,
        max_total_size=most,
        iou_threshold=overlap,
        score_threshold=LEAST_SCORE,
        clip_boxes=False,
    )
    return {
        "boxes": found.nmsed_boxes,
        "scores": found.nmsed_scores,
        "classes": tf.cast(found.nmsed_classes, tf.int32),
        "count": found.valid_detections,
    }
