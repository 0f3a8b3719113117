"""Boxes of a clip joined to tracks, and how soon a growing box will be reached.

SORT (Bewley et al. 2016, https://arxiv.org/abs/1602.00763): a Kalman filter of constant velocity predicts each track's
box, and the assignment with the most overlap continues it. The state holds width and height, as in BoT-SORT (Aharon et
al. 2022, https://arxiv.org/abs/2206.14651), instead of SORT's area and aspect: a box that the edge of the picture cuts
would throw both off. Weak boxes may continue a track and never begin one (ByteTrack, Zhang et al. 2022,
https://arxiv.org/abs/2110.06864).
"""

import collections
import dataclasses
import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize

from apps.driving_perception import boxes as box
from apps.driving_perception import lane

NO_TRACK = -1
# A line through two heights is a guess.
LEAST_HEIGHTS = 3
# Times between frames of which the median is the usual one.
_STEPS_KEPT = 51
_SECONDS_DIGITS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How tracks go on.

    Attributes:
        sure: Score from which a box may begin a track.
        overlap: Least intersection over union of a track's prediction and its next box.
        patience: Frames that a track survives without a box.
        history_seconds: How far back the time to collision is fitted, and at least ``LEAST_HEIGHTS`` frames. At 25
            frames per second, where heights tremble by 6 %, a quarter of a second called 14 % of steady boxes closing
            and missed a third of the approaching; a second did neither in one case of a hundred.
    """

    sure: float = 0.3
    overlap: float = 0.25
    patience: int = 8
    history_seconds: float = 1.0


@dataclasses.dataclass(eq=False, kw_only=True)
class _Track:
    """One track: state (middle x, middle y, width, height and their velocities), covariance, and past heights."""

    number: int
    label: int
    state: NDArray[np.float64]
    covariance: NDArray[np.float64]
    unseen: int = 0
    heights: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    @property
    def xyxy(self) -> NDArray[np.float64]:
        middle, half = self.state[:2], self.state[2:4] / 2
        return np.concatenate([middle - half, middle + half])


class Tracker:
    """Tracks of one clip; feed its frames in their order."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Begin without tracks."""
        self._settings = settings or Settings()
        self._tracks: list[_Track] = []
        self._next = 1
        self._last = math.nan
        self._steps: collections.deque[float] = collections.deque(maxlen=_STEPS_KEPT)

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
            seconds: Time of the frame, later than that of the frame before; NaN unknown: no time to collision. After a
                gap of several usual steps tracks are moved on by as many, and end where it is longer than the patience.

        Returns:
            (m,) int64 number of each box's track from 1 on; ``NO_TRACK`` for a weak box that continues none.
        """
        steps, most = self._steps_to(seconds), self._settings.patience + 1
        self._tracks = [track for track in self._tracks if track.unseen + steps <= most]
        for track in self._tracks:
            for _ in range(steps):
                _predict(track)
        corners, sure = xyxy.astype(np.float64), score >= self._settings.sure
        ids = np.full(len(corners), NO_TRACK, np.int64)
        for group in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            self._continue(corners, label, group, ids, seconds)
        for row in np.flatnonzero(sure & (ids == NO_TRACK)):
            ids[row] = self._begin(corners[row], int(label[row]), seconds)
        self._tracks = [track for track in self._tracks if track.unseen <= self._settings.patience]
        return ids

    def _steps_to(self, seconds: float) -> int:
        """Return how many usual steps after the frame before the next one was taken, at least 1."""
        step = seconds - self._last
        usual = statistics.median(self._steps) if self._steps else step
        self._last = seconds
        if not step > 0:
            return 1
        self._steps.append(step)
        return max(round(step / usual), 1)

    def seconds_to_collision(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (m,) seconds until each track would be reached; infinite where its box does not grow."""
        heights = {track.number: track.heights for track in self._tracks}
        return np.array([time_to_collision(heights.get(int(number), [])) for number in ids], np.float64)

    def _continue(
        self,
        xyxy: NDArray[np.float64],
        label: NDArray[np.integer],
        rows: NDArray[np.int64],
        ids: NDArray[np.int64],
        seconds: float,
    ) -> None:
        taken = set(ids.tolist())
        waiting = [track for track in self._tracks if track.number not in taken]
        if not waiting or not len(rows):
            return
        overlap = box.iou(np.stack([track.xyxy for track in waiting]), xyxy[rows])
        same = np.array([track.label for track in waiting])[:, None] == label[rows][None]
        # What may not be joined counts nothing, so that it cannot outweigh what may.
        gain = np.where(same & (overlap >= self._settings.overlap), overlap, 0.0)
        for place, column in zip(*optimize.linear_sum_assignment(gain, maximize=True), strict=True):
            if gain[place, column] > 0:
                track, row = waiting[place], rows[column]
                ids[row] = track.number
                _correct(track, _observed(xyxy[row]))
                self._remember(track, xyxy[row], seconds)

    def _begin(self, xyxy: NDArray[np.float64], label: int, seconds: float) -> int:
        observed = _observed(xyxy)
        # Where it is, is known as well as one box tells; how it moves is not known at all.
        covariance = np.diag([_OBSERVED] * 4 + [_UNKNOWN_SPEED] * 4) ** 2 * _scale(observed) ** 2
        state = np.concatenate([observed, np.zeros(4)])
        track = _Track(number=self._next, label=label, state=state, covariance=covariance)
        self._remember(track, xyxy, seconds)
        self._tracks.append(track)
        self._next += 1
        return track.number

    def _remember(self, track: _Track, xyxy: NDArray[np.float64], seconds: float) -> None:
        if math.isnan(seconds):
            return
        track.heights.append((seconds, float(xyxy[3] - xyxy[1])))
        begin = seconds - self._settings.history_seconds - 1e-9
        first = next(place for place, (when, _) in enumerate(track.heights) if when >= begin)
        del track.heights[: max(min(first, len(track.heights) - LEAST_HEIGHTS), 0)]


class Follower:
    """Adds tracks and times to collision to the rows of clips; feed it the rows of each clip in their order."""

    def __init__(self, class_names: Sequence[str], region: lane.Region) -> None:
        """Begin without tracks.

        Args:
            class_names: What the boxes' classes are called.
            region: The own way.
        """
        self._class_names = list(class_names)
        self._region = region
        self._trackers: dict[str, tuple[int, Tracker]] = {}

    def follow(self, chunk: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with ``track`` and ``seconds_to_collision`` inside ``boxes``, and ``decision`` changed.

        In a clip an obstacle in the own way is ahead, however small, when it will be reached within
        ``lane.SECONDS_TO_COLLISION``; the ``reason`` is then ``lane.CLOSING``. Pictures that are in no clip stay.
        """
        found = chunk.copy()
        for row in chunk.index[chunk["clip"] != ""]:
            found.loc[row, ["boxes", "decision", "reason"]] = self._one(chunk.loc[row])
        return found

    def _one(self, row: "pd.Series[Any]") -> tuple[str, str, str]:
        clip, frame = str(row["clip"]), int(row["frame"])
        last, tracker = self._trackers.get(clip, (-1, Tracker()))
        # A clip that is given twice begins again.
        tracker = Tracker() if frame <= last else tracker
        self._trackers[clip] = frame, tracker
        boxes = json.loads(row["boxes"])
        xyxy = np.array([each["xyxy"] for each in boxes], np.float64).reshape(-1, 4)
        label = np.array([self._class_names.index(each["class"]) for each in boxes], np.int64)
        score = np.array([each["score"] for each in boxes], np.float64)
        ids = tracker.update(xyxy, label, score, seconds=float(row["seconds"]))
        left = tracker.seconds_to_collision(ids)
        for each, number, seconds in zip(boxes, ids.tolist(), left.tolist(), strict=True):
            each["track"] = number
            each["seconds_to_collision"] = round(seconds, _SECONDS_DIGITS) if np.isfinite(seconds) else None
        # What is near was decided by the model itself, of corners that are not rounded.
        reasons = self._region.reasons(xyxy, left, width=float(row["width"] or 1), height=float(row["height"] or 1))
        closing = str(row["decision"]) == lane.CLEAR and lane.CLOSING in reasons
        changed = (lane.AHEAD, lane.CLOSING) if closing else (str(row["decision"]), str(row["reason"]))
        return json.dumps(boxes), *changed


def time_to_collision(heights: Sequence[tuple[float, float]]) -> float:
    """Return the time left after the last of some (time, height) pairs, in their unit of time; infinite for no growth.

    tau = h / (dh/dt) (Lee 1976, "A theory of visual control of braking based on information about time-to-collision",
    Perception 5, 437-459, https://doi.org/10.1068/p050437). Through a pinhole 1 / h is proportional to the distance: at
    a constant closing speed it falls in a straight line, which is fitted by least squares, and is 0 at the collision.

    Args:
        heights: In order of time; fewer than ``LEAST_HEIGHTS`` say nothing.

    >>> round(time_to_collision([(0.0, 10.0), (1.0, 12.5), (2.0, 50 / 3)]), 6)
    3.0
    """
    if len(heights) < LEAST_HEIGHTS:
        return math.inf
    when, height = np.array(heights, np.float64).T
    inverse = 1.0 / np.maximum(height, 1e-6)
    since = when - when.mean()
    slope = float(since @ inverse) / max(float(since @ since), 1e-12)
    at_end = float(inverse.mean() + slope * since[-1])
    # A fall of less than a millionth of the distance in a unit of time is rounding.
    return max(at_end / -slope, 0.0) if -slope > 1e-6 * float(inverse.mean()) else math.inf


# Standard deviations as shares of the box's longer side, as Wojke et al. 2017 (https://arxiv.org/abs/1703.07402) tie
# theirs to its height: of a detector's box; of what a frame adds to places and to speeds; of a new track's speed.
_OBSERVED, _PLACE_NOISE, _SPEED_NOISE, _UNKNOWN_SPEED = 0.05, 0.05, 0.02, 0.25
_TRANSITION = np.eye(8) + np.eye(8, k=4)


def _scale(state: NDArray[np.float64]) -> float:
    return max(float(state[2]), float(state[3]), 1.0)


def _predict(track: _Track) -> None:
    """Move a track on by one frame."""
    noise = np.diag([_PLACE_NOISE] * 4 + [_SPEED_NOISE] * 4) ** 2 * _scale(track.state) ** 2
    track.state = _TRANSITION @ track.state
    track.state[2:4] = np.maximum(track.state[2:4], 1.0)
    track.covariance = _TRANSITION @ track.covariance @ _TRANSITION.T + noise
    track.unseen += 1


def _correct(track: _Track, observed: NDArray[np.float64]) -> None:
    """Weigh a track's prediction against the box that continues it (Kalman 1960)."""
    noise = np.eye(4) * (_OBSERVED * _scale(track.state)) ** 2
    gain = np.linalg.solve(track.covariance[:4, :4] + noise, track.covariance[:4]).T
    track.state = track.state + gain @ (observed - track.state[:4])
    track.covariance = track.covariance - gain @ track.covariance[:4]
    track.unseen = 0


def _observed(xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return middle x, middle y, width and height of a box."""
    return np.concatenate([(xyxy[:2] + xyxy[2:]) / 2, xyxy[2:] - xyxy[:2]])
