"""Rows that stand together because they are about one film: found from the texts, kept together in blocks.

Collections are often written film by film, and two reviews of one film share names that give the film, and
its usual rating, away. Where that is so, neighbouring rows share many more rare words than distant rows do
(in the 25,000 IMDB reviews 30 times as many), and rows go to a part in contiguous blocks, cut where
neighbours have least in common (after TextTiling, Hearst 1997). Where it is not so, as in shuffled files,
rows stay single.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from apps.sentiment.grouping import words

# A word of 2 to 200 texts is likely a name. Commoner words say little about a film and cost most of the time.
_RAREST, _COMMONEST = 2, 200
_COUNTERS = 1 << 22

# IMDB lists at most 30 reviews of a film in the data of Maas et al. 2011: rows 60 apart are strangers.
_REACH = 15
_DISTANCES = (60, 120, 240)

_FEWEST_ROWS = 200
_FEWEST_BLOCKS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What was found among the rows of one source.

    Attributes:
        name: The source.
        rows: Its number of rows.
        near: Mean similarity (cosine of rare words) of neighbouring rows.
        far: Mean similarity of distant rows.
        blocks: Number of blocks, 0 when rows are not related to their neighbours.
        across: Mean similarity of the two rows on either side of a cut between blocks.
    """

    name: str
    rows: int
    near: float
    far: float
    blocks: int
    across: float


def find(
    texts: Sequence[str], runs: Sequence[tuple[str, NDArray[np.int64]]], *, block_rows: int = 50
) -> tuple[NDArray[np.int64], list[Run]]:
    """Group each source's rows into blocks where neighbours are related, and leave them single elsewhere.

    Args:
        texts: (n,) texts.
        runs: Name and row numbers, in file order, of each source; rows in no run stay single.
        block_rows: Aimed number of rows of a block; below 2 nothing is grouped.

    Returns:
        (n,) int64 block of each row, and what was found in each run.
    """
    block = np.arange(len(texts), dtype=np.int64)
    vectors = _rare_words(texts)
    found = []
    for name, rows in runs:
        run, starts = _examine(name, vectors[rows], block_rows)
        if run.blocks:
            block[rows] = rows[starts]
        found.append(run)
    return block, found


def _examine(name: str, vectors: scipy.sparse.csr_array, block_rows: int) -> tuple[Run, NDArray[np.int64]]:
    """Return what is found in one run, and (rows,) the position where each row's block starts."""
    rows = vectors.shape[0]
    alone = np.arange(rows)
    if rows < _FEWEST_ROWS:
        return Run(name=name, rows=rows, near=0.0, far=0.0, blocks=0, across=0.0), alone
    lags = [_similarities(vectors, lag) for lag in range(1, _REACH + 1)]
    distant = np.concatenate([_similarities(vectors, lag) for lag in _DISTANCES if lag < rows])
    near, far = float(lags[0].mean()), float(distant.mean())
    if block_rows < 2 or not _related(lags[0], distant):
        return Run(name=name, rows=rows, near=near, far=far, blocks=0, across=0.0), alone
    cuts = _cuts(_cohesion(lags, rows), max(2, min(block_rows, rows // _FEWEST_BLOCKS)))
    starts = np.repeat(np.append(0, cuts), np.diff(np.concatenate([[0], cuts, [rows]])))
    across = float(lags[0][cuts - 1].mean()) if cuts.size else 0.0
    return Run(name=name, rows=rows, near=near, far=far, blocks=cuts.size + 1, across=across), starts


def _related(near: NDArray[np.float64], distant: NDArray[np.float64]) -> bool:
    """Tell whether neighbours are twice as similar as distant rows, and by over five standard errors."""
    error = np.hypot(near.std() / np.sqrt(near.size), distant.std() / np.sqrt(distant.size))
    return bool(near.mean() > 2 * distant.mean() and near.mean() - distant.mean() > 5 * error)


def _similarities(vectors: scipy.sparse.csr_array, lag: int) -> NDArray[np.float64]:
    """Return (rows - lag,) the similarity of each row with the row ``lag`` after it."""
    return np.asarray(vectors[:-lag].multiply(vectors[lag:]).sum(axis=1), dtype=np.float64).ravel()


def _cohesion(lags: Sequence[NDArray[np.float64]], rows: int) -> NDArray[np.float64]:
    """Return (rows + 1,) the summed similarity of all near pairs that a cut before that row parts."""
    cohesion = np.zeros(rows + 1)
    for lag, similarity in enumerate(lags, start=1):
        before = np.concatenate([[0.0], np.cumsum(similarity)])
        cut = np.arange(rows + 1)
        cohesion += before[np.minimum(cut, rows - lag)] - before[np.clip(cut - lag, 0, rows - lag)]
    return cohesion


def _cuts(cohesion: NDArray[np.float64], block_rows: int) -> NDArray[np.int64]:
    """Choose cuts half a block to a block and a half apart, each where the least is parted."""
    rows, cuts, start = cohesion.size - 1, [], 0
    while rows - start > 2 * block_rows:
        window = slice(start + block_rows // 2, start + block_rows + block_rows // 2)
        start = window.start + int(np.argmin(cohesion[window]))
        cuts.append(start)
    return np.array(cuts, dtype=np.int64)


def _rare_words(texts: Sequence[str]) -> scipy.sparse.csr_array:
    """Return (texts, counters) rows of unit length that weigh rare words by inverse document frequency."""
    document_counts = np.zeros(_COUNTERS, dtype=np.int32)
    for chunk in words.chunks(texts):
        np.add.at(document_counts, _distinct(chunk)[1], np.int32(1))
    rare = (document_counts >= _RAREST) & (document_counts <= _COMMONEST)
    owners, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for chunk in words.chunks(texts):
        text, counter = _distinct(chunk)
        owners.append(chunk.first + text[rare[counter]])
        columns.append(counter[rare[counter]])
    owner, column = np.concatenate(owners), np.concatenate(columns)
    weight = np.log(len(texts) / document_counts[column])
    length = np.sqrt(np.bincount(owner, weight**2, minlength=len(texts)))
    weight /= np.where(length > 0, length, 1)[owner]
    return scipy.sparse.csr_array((weight, (owner, column)), shape=(len(texts), _COUNTERS))


def _distinct(chunk: words.Chunk) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the (text, counter of the word) pairs of a chunk, each once."""
    pairs = np.sort(chunk.text * _COUNTERS + (chunk.word & np.uint64(_COUNTERS - 1)).astype(np.int64))
    pairs = pairs[words.starts_of_runs(pairs)]
    return pairs // _COUNTERS, pairs % _COUNTERS
