"""How far two sets of examples lie apart as wholes: the Fréchet distance between Gaussians fitted to features."""

import numpy as np
import numpy.typing as npt

from shared.evaluation import arrays


def frechet_distance(features_a: npt.ArrayLike, features_b: npt.ArrayLike) -> float:
    """Return ``|m_a - m_b|² + tr(S_a + S_b - 2 (S_a S_b)^½)``, 0 where mean and covariance agree.

    The squared 2-Wasserstein distance of two Gaussians (Dowson and Landau 1982); on features of an Inception network
    it is the FID (Heusel et al. 2017, https://arxiv.org/abs/1706.08500). It falls with the number of rows (Chong and
    Forsyth 2020, https://arxiv.org/abs/1911.07023): compare only values from equal numbers.

    Args:
        features_a: (n, d) float, n of at least 2.
        features_b: (m, d) float, m of at least 2.

    Raises:
        ValueError: Malformed or unfitting arrays, or a value that is not finite.

    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]])
    9.0
    """
    (mean_a, covariance_a), (mean_b, covariance_b) = _moments(features_a, "a"), _moments(features_b, "b")
    if len(mean_a) != len(mean_b):
        raise ValueError(f"expected features of one width. Received: {len(mean_a)} and {len(mean_b)}")
    # (S_a S_b)^½ has the trace of (R S_b R)^½ with R = S_a^½, which is symmetric: no complex roots.
    values, vectors = np.linalg.eigh(covariance_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_b @ root), 0)).sum()
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross
    return float(max(0.0, np.square(mean_a - mean_b).sum() + spread))


def _moments(features: npt.ArrayLike, name: str) -> tuple[arrays.Floats, arrays.Floats]:
    table = np.asarray(features, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2 or not np.isfinite(table).all():
        raise ValueError(f"features_{name}: expected finite (n >= 2, d). Received: shape {table.shape}")
    return table.mean(axis=0), np.cov(table, rowvar=False).reshape(table.shape[1], table.shape[1])
