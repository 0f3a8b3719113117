"""The ground that things stand on: oriented rectangles, how far apart they are, and on which side one looks."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rectangles(extents: Floats, x: Floats, z: Floats, angle: Floats) -> Floats:
    """Return the corners of rectangles, turned and moved.

    Args:
        extents: (..., 4) left, right, rear, front in metres from the point that a thing turns about.
        x: (...) metres to the right of the camera of that point.
        z: (...) metres ahead of it.
        angle: (...) radians that the front is turned to the right.

    Returns:
        (..., 4, 2) x and z in metres, counter-clockwise from above with z up the page.

    >>> rectangles(np.array([-1.0, 1.0, -2.0, 2.0]), np.array(10.0), np.array(20.0), np.array(0.0)).tolist()
    [[9.0, 18.0], [11.0, 18.0], [11.0, 22.0], [9.0, 22.0]]
    """
    across, along = extents[..., (0, 1, 1, 0)], extents[..., (2, 2, 3, 3)]
    cosine, sine = np.cos(angle)[..., None], np.sin(angle)[..., None]
    return np.stack(
        [cosine * across + sine * along + x[..., None], cosine * along - sine * across + z[..., None]], axis=-1
    )


def sides(polygons: Floats) -> tuple[Floats, Floats]:
    """Return (..., 4, 2) unit normals of the edges, outward, and (..., 4) how far along them the edges lie."""
    along = np.roll(polygons, -1, axis=-2) - polygons
    normals = np.stack([along[..., 1], -along[..., 0]], axis=-1) / np.linalg.norm(along, axis=-1, keepdims=True)
    return normals, (normals * polygons).sum(axis=-1)


def beyond(first: Floats, second: Floats) -> Floats:
    """Return how far the whole of ``second`` lies outside of each edge of ``first``; negative: some of it does not.

    Args:
        first: (..., 4, 2) metres, counter-clockwise.
        second: (..., 4, 2) metres, broadcast against it.

    Returns:
        (..., 4) metres.
    """
    normals, offsets = sides(first)
    reach = normals @ np.swapaxes(second, -1, -2)
    return np.asarray(reach.min(axis=-1) - offsets)


def gap(first: Floats, second: Floats) -> Floats:
    """Return (...) metres between rectangles along the edge that parts them best; negative: they overlap.

    Two convex polygons are disjoint where an edge of one of them parts them: S. Gottschalk, M. C. Lin, D. Manocha,
    OBBTree, SIGGRAPH 1996 (the separating axis theorem). Between corners the true distance is larger.
    """
    return np.asarray(np.maximum(beyond(first, second).max(axis=-1), beyond(second, first).max(axis=-1)))
