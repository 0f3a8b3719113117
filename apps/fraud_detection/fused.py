"""The ensemble as one function of arrays, in compiled loops: many times faster than network after network.

A network that reads bins (``tabular.PiecewiseLinear``) multiplies hundreds of columns of which each number sets a few:
its first layer is a straight line between two rows of a table for each number, and all networks look them up at once.
What comes after is narrow. The values are those of the Keras model but for the last bits; ``fusing`` makes it of one.
No TensorFlow here.
"""

import base64
import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import threadpoolctl
from scipy import special
from typing_extensions import TypedDict

from shared import compiling, errors, machine, stored

Floats: TypeAlias = npt.NDArray[np.float32]
Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

FILE = "fused.json"
# Rows whose layers stay in a core's cache, and units of the table that do.
BLOCK_ROWS, TILE = 2_048, 128
# As ``tabular.Standardize`` has it.
FARTHEST = 10.0


class _Array(TypedDict):
    shape: stored.Several[stored.Count]
    values: stored.Text


@stored.open_fields
class _Written(TypedDict):
    """What ``FILE`` holds."""

    arrays: dict[str, _Array]
    towers: stored.Several[stored.Count]
    slope: stored.Number
    offset: stored.Number


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Fused:
    """Networks over common numbers, and how their log-odds become one.

    Attributes:
        arrays: ``mean`` and ``deviation`` (columns,) of the standardized numbers; ``low``, ``width`` (bins,) and
            ``begins`` (columns + 1,) of the bins; of the first layer of all towers ``standard`` (columns, units),
            ``table`` (bins, units), ``names_<n>`` (ids, units) for each column of names, ``state`` (units of the
            recurrent layer, units) and ``bias`` (units,); ``tower_<n>_<kernel|bias>_<layer>`` of what follows, the last
            to one number: log-odds times what the tower counts; ``gru_*`` and ``attention_*`` of the recurrent layer;
            ``detector_*`` of the autoencoder, of which ``detector_scale`` (2,) makes log-odds. Absent is what no
            network has.
        towers: How many layers follow the first in each tower.
        slope: Of the calibration of the summed log-odds.
        offset: Of that calibration.
    """

    arrays: Arrays
    towers: tuple[int, ...]
    slope: float
    offset: float

    def scores(self, count: int, read: Callable[[slice], Arrays]) -> npt.NDArray[np.float64]:
        """Return (count,) calibrated probabilities of fraud; all cores work, each on blocks of its own.

        Args:
            count: Number of rows.
            read: Rows -> ``preprocessing.arrays`` of them.
        """
        blocks = [slice(first, min(first + BLOCK_ROWS, count)) for first in range(0, count, BLOCK_ROWS)]
        workers = machine.usable_cores()
        # The products of a block are too small to be shared among cores.
        with threadpoolctl.threadpool_limits(1), concurrent.futures.ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(lambda rows: self.log_odds(read(rows)), blocks))
        return np.asarray(special.expit(np.concatenate(found).astype(np.float64)), np.float64)

    def log_odds(self, given: Arrays) -> Floats:
        """Return (n,) calibrated log-odds of fraud of the rows of ``preprocessing.arrays``."""
        numbers = np.ascontiguousarray(given["numbers"], np.float32)
        total = np.zeros(len(numbers), np.float32)
        if self.towers:
            total += self._towers(numbers, given)
        if "detector_mean" in self.arrays:
            total += self._detector(numbers)
        return np.asarray(np.float32(self.slope) * total + np.float32(self.offset), np.float32)

    def _towers(self, numbers: Floats, given: Arrays) -> Floats:
        arrays = self.arrays
        first = np.tile(arrays["bias"], (len(numbers), 1))
        if "standard" in arrays:
            first += _standardized(numbers, arrays["mean"], arrays["deviation"]) @ arrays["standard"]
        if "table" in arrays:
            look_up(numbers, arrays["low"], arrays["width"], arrays["begins"], arrays["lines"], first)
        for place in range(given["categories"].shape[1] if "names_0" in arrays else 0):
            first += arrays[f"names_{place}"][given["categories"][:, place]]
        if "state" in arrays:
            first += read_sequence(np.ascontiguousarray(given["sequence"], np.float32), arrays) @ arrays["state"]
        total, start = np.zeros(len(numbers), np.float32), 0
        for tower, layers in enumerate(self.towers):
            width = len(arrays[f"tower_{tower}_kernel_1"])
            values = first[:, start : start + width]
            for layer in range(1, layers + 1):
                kernel, bias = (arrays[f"tower_{tower}_{kind}_{layer}"] for kind in ("kernel", "bias"))
                values = np.maximum(values, 0) @ kernel + bias
            total += values[:, 0]
            start += width
        return total

    def _detector(self, numbers: Floats) -> Floats:
        """Return (n,) weighted log-odds of how badly the autoencoder restores the rows."""
        arrays = self.arrays
        wanted = _standardized(numbers, arrays["detector_mean"], arrays["detector_deviation"])
        values = wanted
        for layer in (1, 2, 3):
            values = values @ arrays[f"detector_kernel_{layer}"] + arrays[f"detector_bias_{layer}"]
            values = np.maximum(values, 0) + (np.exp(np.minimum(values, 0)) - 1)
        restored = values @ arrays["detector_kernel_4"] + arrays["detector_bias_4"]
        error = np.log(np.mean(np.square(wanted - restored), axis=1) + np.float32(1e-6))
        slope, offset = arrays["detector_scale"]
        return np.asarray(slope * error + offset, np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able mapping; arrays as bytes of their rows in base 64."""
        arrays = {
            name: {"shape": list(values.shape), "values": base64.b64encode(values.tobytes()).decode()}
            for name, values in self.arrays.items()
            if name != "lines"
        }
        return {"arrays": arrays, "towers": list(self.towers), "slope": self.slope, "offset": self.offset}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, where: str = FILE) -> Self:
        """Read what ``to_json`` wrote; ``errors.InputError`` where ``where``, the file, holds something else."""
        found = stored.check(_Written, content, where=where)
        try:
            arrays = {name: _array(name, each["values"], each["shape"]) for name, each in found["arrays"].items()}
        except ValueError as error:
            raise errors.InputError(f"{where}: expected arrays of their shapes. Received: {error}") from error
        return cls.of(arrays, found["towers"], slope=found["slope"], offset=found["offset"])

    @classmethod
    def of(cls, arrays: Arrays, towers: Sequence[int], *, slope: float, offset: float) -> Self:
        """Return the ensemble of these arrays, with the table as lines."""
        lines = {"lines": _as_lines(arrays["table"], arrays["begins"])} if "table" in arrays else {}
        return cls(arrays={**arrays, **lines}, towers=tuple(towers), slope=slope, offset=offset)


def _array(name: str, values: str, shape: Sequence[int]) -> npt.NDArray[Any]:
    kind = np.int64 if name == "begins" else np.float32
    return np.frombuffer(base64.b64decode(values), kind).reshape(shape)


def _standardized(numbers: Floats, mean: Floats, deviation: Floats) -> Floats:
    scaled = np.clip((numbers - mean) / deviation, -FARTHEST, FARTHEST)
    return np.where(np.isnan(numbers), np.float32(0), scaled)


def _as_lines(table: Floats, begins: npt.NDArray[np.int64]) -> Floats:
    """Return (tiles, bins, 2, ``TILE``): what the bins below one add up to, and what this one adds where it is full."""
    before = np.zeros(table.shape, np.float64)
    for first, end in itertools.pairwise(begins.tolist()):
        before[first + 1 : end] = np.cumsum(table[first : end - 1], axis=0, dtype=np.float64)
    both = np.stack([before.astype(np.float32), table], axis=1)
    padded = np.pad(both, ((0, 0), (0, 0), (0, -table.shape[1] % TILE)))
    # Each tile by itself: its lines lie close together in a core's cache.
    return np.ascontiguousarray(padded.reshape(len(table), 2, -1, TILE).transpose(2, 0, 1, 3))


@compiling.vectorized
def tanh(value: Any) -> Any:
    """Return the hyperbolic tangent within 3e-7: a quotient of polynomials, which a processor does eight at a time.

    Its coefficients are Eigen's (``ptanh_float`` in ``GenericPacketMathFunctions.h``), which TensorFlow uses, too.
    """
    x = min(max(value, np.float32(-7.9053111)), np.float32(7.9053111))
    square = x * x
    above = np.float32(-2.76076847742355e-16)
    above = above * square + np.float32(2.00018790482477e-13)
    above = above * square + np.float32(-8.60467152213735e-11)
    above = above * square + np.float32(5.12229709037114e-08)
    above = above * square + np.float32(1.48572235717979e-05)
    above = above * square + np.float32(6.37261928875436e-04)
    above = above * square + np.float32(4.89352455891786e-03)
    below = np.float32(1.19825839466702e-06)
    below = below * square + np.float32(1.18534705686654e-04)
    below = below * square + np.float32(2.26843463243900e-03)
    below = below * square + np.float32(4.89352518554385e-03)
    return x * above / below


@compiling.vectorized
def sigmoid(value: Any) -> Any:
    """Return the logistic function."""
    return np.float32(0.5) * tanh(np.float32(0.5) * value) + np.float32(0.5)


@compiling.vectorized
def look_up(
    numbers: Floats, low: Floats, width: Floats, begins: npt.NDArray[np.int64], lines: Floats, found: Floats
) -> None:
    """Add the lines of each number (n, columns) to ``found`` (n, units); NaN adds nothing.

    Args:
        numbers: (n, columns).
        low: (bins,) ascending within a column: where each begins.
        width: (bins,) of each.
        begins: (columns + 1,) the first bin of each column, and their number.
        lines: (tiles, bins, 2, ``TILE``); the units of the last tile end in some that are not there.
        found: (n, units).
    """
    rows, columns = numbers.shape
    units = found.shape[1]
    place, share = np.empty((rows, columns), np.uint32), np.empty((rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            number = numbers[row, column]
            first = begins[column]
            inside = 0
            for bin in range(first + 1, begins[column + 1]):
                inside += number >= low[bin]
            filled = (number - low[first + inside]) / width[first + inside]
            place[row, column] = first + inside
            share[row, column] = min(max(filled, np.float32(0)), np.float32(1)) if number == number else np.float32(0)
    sums = np.empty(TILE, np.float32)
    for tile in range(len(lines)):
        table, start = lines[tile], tile * TILE
        for row in range(rows):
            sums[:] = 0
            for column in range(columns):
                line, filled = place[row, column], share[row, column]
                # As many turns as are known when this is compiled: they are done eight at a time.
                for unit in range(TILE):
                    sums[unit] += table[line, 0, unit] + filled * table[line, 1, unit]
            for unit in range(min(TILE, units - start)):
                found[row, start + unit] += sums[unit]


def read_sequence(sequence: Floats, arrays: Arrays) -> Floats:
    """Return (n, units) what a GRU with attention reads in (n, length, channels).

    Keras' GRU with ``reset_after``, gates in its order, and ``sequences.AttentionPooling``. Steps of zeros alone, which
    stand at the end, change nothing; a first step counts always.

    Args:
        sequence: (n, length, channels).
        arrays: ``gru_kernel`` (channels, 3 * units), ``gru_recurrent`` (units, 3 * units), ``gru_bias`` (2, 3 * units):
            of what comes in and of the state; ``attention_kernel`` (units, units), ``attention_bias`` and
            ``attention_query`` (units,).
    """
    rows, length, _ = sequence.shape
    states = np.zeros((length + 1, rows, len(arrays["gru_recurrent"])), np.float32)
    for step in range(length):
        came = sequence[:, step] @ arrays["gru_kernel"]
        pass_gates(came, states[step] @ arrays["gru_recurrent"], arrays["gru_bias"], states[step], states[step + 1])
    looked = states[1:] @ arrays["attention_kernel"]
    found: Floats = np.empty_like(states[0])
    attend(looked, arrays["attention_bias"], arrays["attention_query"], sequence, states[1:], found)
    return found


@compiling.vectorized
def pass_gates(came: Floats, kept: Floats, bias: Floats, state: Floats, found: Floats) -> None:
    """Write the next states (n, units) into ``found``, from the products with input and state (n, 3 * units)."""
    rows, units = state.shape
    for row in range(rows):
        for unit in range(units):
            stay = sigmoid(came[row, unit] + bias[0, unit] + kept[row, unit] + bias[1, unit])
            reset, new = units + unit, 2 * units + unit
            open_ = sigmoid(came[row, reset] + bias[0, reset] + kept[row, reset] + bias[1, reset])
            fresh = tanh(came[row, new] + bias[0, new] + open_ * (kept[row, new] + bias[1, new]))
            found[row, unit] = stay * state[row, unit] + (np.float32(1) - stay) * fresh


@compiling.vectorized
def attend(looked: Floats, bias: Floats, query: Floats, sequence: Floats, states: Floats, found: Floats) -> None:
    """Write the mean of the states (length, n, units) of real steps into ``found`` (n, units), by attention."""
    length, rows, units = states.shape
    weights = np.empty(length, np.float32)
    for row in range(rows):
        steps = 0
        for step in range(length):
            if step and not np.any(sequence[row, step]):
                break
            weight = np.float32(0)
            for unit in range(units):
                weight += query[unit] * tanh(looked[step, row, unit] + bias[unit])
            weights[step] = weight
            steps += 1
        largest = weights[:steps].max()
        total = np.float32(0)
        found[row] = 0
        for step in range(steps):
            weight = np.exp(weights[step] - largest)
            total += weight
            for unit in range(units):
                found[row, unit] += weight * states[step, row, unit]
        for unit in range(units):
            found[row, unit] /= total
