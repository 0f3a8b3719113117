"""Boxes of a clip joined to tracks, and how soon a growing box will be reached.

SORT (Bewley et al. 2016, https://arxiv.org/abs/1602.00763): a Kalman filter of constant velocity predicts each track's box,
and the assignment with the most overlap continues it. Weak boxes may continue a track and never begin one (ByteTrack,
Zhang et al. 2022, https://arxiv.org/abs/2110.06864).
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from apps.driving_perception import boxes as box

NO_TRACK = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How tracks go on.

    Attributes:
        sure: Score from which a box may begin a track.
        overlap: Least intersection over union of a track's prediction and its next box.
        patience: Frames that a track survives without a box.
        history: Frames that the time to collision is fitted over.
    """

    sure: float = 0.3
    overlap: float = 0.25
    patience: int = 8
    history: int = 6


@dataclasses.dataclass(eq=False)
class _Track:
    """One track: state (middle x, middle y, width, height and their velocities), covariance, and past heights."""

    number: int
    label: int
    state: NDArray[np.float64]
    covariance: NDArray[np.float64]
    unseen: int
    heights: list[tuple[float, float]]

    @property
    def xyxy(self) -> NDArray[np.float64]:
        x, y, width, height = self.state[:4]
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


class Tracker:
    """Tracks of one clip; feed its frames in their order."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Begin without tracks."""
        self._settings = settings or Settings()
        self._tracks: list[_Track] = []
        self._next = 1
        self._frame = 0

    def update(
        self,
        xyxy: NDArray[np.floating],
        label: NDArray[np.integer],
        score: NDArray[np.floating],
        *,
        seconds: float = math.nan,
    ) -> NDArray[np.int64]:
        """Join one frame's boxes to the tracks.

        Args:
            xyxy: (m, 4) pixels.
            label: (m,) class of each; a track keeps its class.
            score: (m,) in [0, 1].
            seconds: Time of the frame; NaN counts frames.

        Returns:
            (m,) int64 number of each box's track from 1 on; ``NO_TRACK`` for a weak box that continues none.
        """
        for track in self._tracks:
            _predict(track)
        self._frame += 1
        ids = np.full(len(xyxy), NO_TRACK, np.int64)
        sure = score >= self._settings.sure
        for group in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            self._continue(xyxy, label, group, ids, seconds)
        for row in np.flatnonzero(sure & (ids == NO_TRACK)):
            ids[row] = self._begin(xyxy[row], int(label[row]), seconds)
        self._tracks = [track for track in self._tracks if track.unseen <= self._settings.patience]
        return ids

    def seconds_to_collision(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (m,) seconds until each track's box would fill everything; infinite where it does not grow."""
        heights = {track.number: track.heights for track in self._tracks}
        return np.array([time_to_collision(heights.get(int(number), [])) for number in ids])

    def _continue(
        self,
        xyxy: NDArray[np.floating],
        label: NDArray[np.integer],
        rows: NDArray[np.int64],
        ids: NDArray[np.int64],
        seconds: float,
    ) -> None:
        waiting = [track for track in self._tracks if track.number not in set(ids.tolist())]
        if not waiting or not len(rows):
            return
        overlap = box.iou(np.stack([track.xyxy for track in waiting]), xyxy[rows].astype(np.float64))
        same = np.array([track.label for track in waiting])[:, None] == label[rows][None]
        gain = np.where(same, overlap, -1.0)
        for place, column in zip(*optimize.linear_sum_assignment(-gain), strict=True):
            if gain[place, column] >= self._settings.overlap:
                track, row = waiting[place], rows[column]
                ids[row] = track.number
                _correct(track, xyxy[row].astype(np.float64))
                self._remember(track, xyxy[row], seconds)

    def _begin(self, xyxy: NDArray[np.floating], label: int, seconds: float) -> int:
        measured = _measured(xyxy.astype(np.float64))
        scale = max(measured[2], measured[3], 1.0)
        covariance = np.diag([0.05 * scale] * 4 + [0.25 * scale] * 4) ** 2
        track = _Track(self._next, label, np.concatenate([measured, np.zeros(4)]), covariance, 0, [])
        self._remember(track, xyxy, seconds)
        self._tracks.append(track)
        self._next += 1
        return track.number

    def _remember(self, track: _Track, xyxy: NDArray[np.floating], seconds: float) -> None:
        when = float(self._frame) if math.isnan(seconds) else seconds
        track.heights.append((when, float(xyxy[3] - xyxy[1])))
        del track.heights[: -self._settings.history]


def time_to_collision(heights: list[tuple[float, float]]) -> float:
    """Return the time left from (time, height) pairs, in their unit of time; infinite where the height does not grow.

    For a constant closing speed 1 / height falls in a straight line and is 0 at the collision (from tau = h / (dh/dt), Lee
    1976): the line is fitted by least squares.

    >>> time_to_collision([(0.0, 10.0), (1.0, 12.5), (2.0, 50 / 3)])
    3.0
    """
    if len(heights) < 2:
        return math.inf
    when, height = np.array(heights).T
    inverse = 1.0 / np.maximum(height, 1e-6)
    spread = when - when.mean()
    slope = float(spread @ inverse) / max(float(spread @ spread), 1e-12)
    if slope >= -1e-9:
        return math.inf
    at_end = float(inverse.mean() + slope * spread[-1])
    return round(max(at_end / -slope, 0.0), 9)


_TRANSITION = np.eye(8) + np.eye(8, k=4)


def _predict(track: _Track) -> None:
    scale = max(float(track.state[2]), float(track.state[3]), 1.0)
    noise = np.diag([0.05 * scale] * 4 + [0.02 * scale] * 4) ** 2
    track.state = _TRANSITION @ track.state
    track.state[2:4] = np.maximum(track.state[2:4], 1.0)
    track.covariance = _TRANSITION @ track.covariance @ _TRANSITION.T + noise
    track.unseen += 1


def _correct(track: _Track, xyxy: NDArray[np.float64]) -> None:
    scale = max(float(track.state[2]), float(track.state[3]), 1.0)
    noise = np.eye(4) * (0.05 * scale) ** 2
    innovation = _measured(xyxy) - track.state[:4]
    gain = track.covariance[:, :4] @ np.linalg.inv(track.covariance[:4, :4] + noise)
    track.state = track.state + gain @ innovation
    track.covariance = track.covariance - gain @ track.covariance[:4]
    track.unseen = 0


def _measured(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([(xyxy[0] + xyxy[2]) / 2, (xyxy[1] + xyxy[3]) / 2, xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]])
