"""Texts as hashed words, never for the model, and the exact and near duplicates among them.

Everything works on chunks of about a megabyte, so memory does not grow with the corpus, and on whole NumPy
arrays, so that hashing 34 MB of reviews takes about a second.

Two texts are near duplicates when the Jaccard similarity of their sets of word pairs reaches a threshold. MinHash would
miss some of them by chance. The prefix filter (Chaudhuri, Ganti and Kaushik 2006; Bayardo, Ma and Srikant 2007) does
not: when two sets with Jaccard >= t are ordered from rare to common elements, their first ``size - ceil(t * size) + 1``
elements share at least one. Prefixes are short and hold rare pairs of words, so that few candidates remain, and each is
verified with its exact similarity. Memory grows with the prefixes, not with the texts.
"""

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from shared import splits

_CHUNK_BYTES = 1 << 20
_CHUNK_TEXTS = 1 << 14

_TAG = re.compile(r"<[^<>]{1,60}>")
_PUNCTUATION = re.compile("[\u00a0-\u00bf\u2000-\u206f\u3000-\u303f]")
_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
_IN_WORD = np.array([byte >= 128 or chr(byte).isalnum() for byte in range(256)])
_BASE = np.uint64(0x100000001B3)

# A shingle is a 48-bit number: 6 bits of how common it is, then 42 bits of hash. A text's number within its chunk goes
# above them, so that one sort of 64-bit integers (ten times as fast as np.lexsort) orders a whole chunk.
_HASH_BITS = 42
_SHINGLE_BITS = 48
_MOST_COUNTERS = 1 << 23
# In a shingle that very many texts share, each text is compared with this many next ones in order of size: templates
# ("I won at <name>!") are all alike and end up connected, and ten thousand of them do not make 50 million pairs.
_NEIGHBOURS = 50
_PAIRS_AT_ONCE = 5_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """The words of consecutive texts.

    Attributes:
        first: Number of the first text of the chunk.
        text: (w,) int64 number of each word's text within the chunk, ascending.
        word: (w,) uint64 hash of each word, in reading order.
    """

    first: int
    text: NDArray[np.int64]
    word: NDArray[np.uint64]


def normalize(text: str) -> str:
    """Return the text without tags and differences of case and Unicode form; each ideograph counts as a word.

    >>> normalize("A <br />GOOD film")
    'a  good film'
    """
    if "<" in text:
        text = _TAG.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = _IDEOGRAPH.sub(r" \1 ", _PUNCTUATION.sub(" ", text))
    return text.casefold()


def chunks(texts: Sequence[str]) -> Iterator[Chunk]:
    """Yield the words of all texts, about a megabyte of text at a time."""
    first, size, encoded = 0, 0, []
    for text in texts:
        encoded.append(normalize(text).encode("utf-8", "surrogatepass"))
        size += len(encoded[-1])
        if size >= _CHUNK_BYTES or len(encoded) >= _CHUNK_TEXTS:
            yield _chunk(first, encoded)
            first, size, encoded = first + len(encoded), 0, []
    if encoded:
        yield _chunk(first, encoded)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64-bit values: a bijection after which every bit depends on every bit before."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return values ^ (values >> np.uint64(29))


def _chunk(first: int, encoded: Sequence[bytes]) -> Chunk:
    letters = np.frombuffer(b" " + b" ".join(encoded) + b" ", dtype=np.uint8)
    in_word = _IN_WORD[letters]
    edges = np.flatnonzero(in_word[1:] != in_word[:-1]) + 1
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    ends_of_texts = np.cumsum([len(text) + 1 for text in encoded])
    return Chunk(
        first=first,
        text=np.searchsorted(ends_of_texts, starts, side="right").astype(np.int64),
        word=_hash_runs(letters[in_word], lengths),
    )


def _hash_runs(letters: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash consecutive runs of bytes as polynomials modulo 2**64 (Karp and Rabin 1987)."""
    if not lengths.size:
        return np.empty(0, dtype=np.uint64)
    offsets = np.cumsum(lengths) - lengths
    powers = np.cumprod(np.full(lengths.max(), _BASE), dtype=np.uint64)
    position = np.arange(letters.size) - np.repeat(offsets, lengths)
    return mix(np.add.reduceat((letters + np.uint64(1)) * powers[position], offsets))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What was found among n texts.

    Attributes:
        exact: (n,) int64, equal for texts with the same words in the same order.
        near: (n,) int64, equal for texts connected by duplicates of either kind.
        pairs: (p, 2) int64 row numbers of the near-duplicate pairs; one row stands for each exact group.
        similarities: (p,) float64 Jaccard similarities of ``pairs``.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    pairs: NDArray[np.int64]
    similarities: NDArray[np.float64]


def content_hashes(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return (n,) uint64 BLAKE2b hashes of the texts as they are."""
    digests = b"".join(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def find_duplicates(texts: Sequence[str], *, threshold: float = 0.8) -> Duplicates:
    """Group texts that are equal or nearly equal.

    Args:
        texts: Raw texts; HTML tags, case, punctuation and spacing do not count.
        threshold: Smallest Jaccard similarity of the sets of word pairs, in (0, 1].

    >>> find_duplicates(["A good film!", "a GOOD<br />film", "a bad film"]).near.tolist()
    [0, 0, 1]
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"Expected a threshold in (0, 1]. Received: {threshold}")
    exact = exact_groups(texts)
    _, first = np.unique(exact, return_index=True)
    representatives = [texts[row] for row in first]
    candidates = _candidates(representatives, threshold)
    similarities = _similarities(representatives, candidates)
    alike = similarities >= threshold
    pairs = first[candidates[alike]].astype(np.int64)
    near = splits.merge_units(exact, splits.units_of_pairs(pairs, rows=len(texts)))
    return Duplicates(exact=exact, near=near, pairs=pairs, similarities=similarities[alike])


def exact_groups(texts: Sequence[str]) -> NDArray[np.int64]:
    """Number the texts (n,) so that texts with the same words in the same order share a number.

    A text without any word, such as ``:-)``, is equal only to itself.

    >>> exact_groups(["Fine!", ":-)", "fine", ":-("]).tolist()
    [0, 1, 0, 2]
    """
    keys = content_hashes(texts)
    for chunk in chunks(texts):
        starts = starts_of_runs(chunk.text)
        if starts.size:
            position = np.arange(chunk.word.size) - np.repeat(starts, np.diff(np.append(starts, chunk.word.size)))
            placed = mix(chunk.word ^ mix(position.astype(np.uint64) + np.uint64(1)))
            keys[chunk.first + chunk.text[starts]] = np.add.reduceat(placed, starts)
    return splits.merge_units(keys)


def starts_of_runs(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return where each run of equal values begins (np.unique would sort again, and is ten times as slow)."""
    return np.flatnonzero(np.append(values[:1] == values[:1], values[1:] != values[:-1]))


def _shingles(chunk: Chunk) -> NDArray[np.uint64]:
    """Hash each word with its successor in the text (w,); the last word is paired with the end."""
    following = np.append(chunk.word[1:], np.uint64(0))
    following[np.flatnonzero(np.append(chunk.text[1:] != chunk.text[:-1], True))] = 0
    return mix(chunk.word * np.uint64(3) + following)


def _ordered_set(chunk: Chunk, commonness: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a chunk's sorted distinct (text, commonness, hash) values."""
    shingle = _shingles(chunk)
    common = commonness[_counter(shingle, commonness.size)].astype(np.uint64) << np.uint64(_HASH_BITS)
    text = chunk.text.astype(np.uint64) << np.uint64(_SHINGLE_BITS)
    elements = np.sort(text | common | (shingle >> np.uint64(64 - _HASH_BITS)))
    return elements[starts_of_runs(elements)]


def _counter(shingle: NDArray[np.uint64], counters: int) -> NDArray[np.int64]:
    return (shingle & np.uint64(counters - 1)).astype(np.int64)


def _commonness(texts: Sequence[str]) -> NDArray[np.uint8]:
    """Return (counters,) binary digits of how often, less one, the shingles of each counter occur.

    Two shingles may share a counter: that makes the order of rarity less sharp, and no pair is lost by it.
    """
    counters = min(1 << sum(map(len, texts)).bit_length(), _MOST_COUNTERS)
    counts = np.zeros(counters, dtype=np.int32)
    for chunk in chunks(texts):
        np.add.at(counts, _counter(_shingles(chunk), counters), np.int32(1))  # a plain 1: 15 times slower
    _, digits = np.frexp(np.maximum(counts - 1, 0).astype(np.float64))
    return digits.astype(np.uint8)


def _prefixes(
    texts: Sequence[str], threshold: float
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Return shingle, text number and set size of every prefix element that occurs more than once."""
    commonness = _commonness(texts)
    shingles, owners, sizes = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for chunk in chunks(texts):
        elements = _ordered_set(chunk, commonness)
        text = (elements >> np.uint64(_SHINGLE_BITS)).astype(np.int64)
        shingle = elements & np.uint64((1 << _SHINGLE_BITS) - 1)
        starts = starts_of_runs(text)
        counts = np.diff(np.append(starts, text.size))
        rank, size = np.arange(text.size) - np.repeat(starts, counts), np.repeat(counts, counts)
        kept = (rank <= size - _smallest_overlap(size, threshold)) & (shingle >> np.uint64(_HASH_BITS) > 0)
        shingles.append(shingle[kept])
        owners.append(chunk.first + text[kept])
        sizes.append(size[kept])
    return np.concatenate(shingles), np.concatenate(owners), np.concatenate(sizes)


def _smallest_overlap(size: NDArray[np.int64], threshold: float) -> NDArray[np.float64]:
    needed: NDArray[np.float64] = np.ceil(threshold * size - 1e-9)
    return needed


def _candidates(texts: Sequence[str], threshold: float) -> NDArray[np.int64]:
    """Return (c, 2) pairs of text numbers that share a prefix shingle and are near enough in size."""
    shingle, owner, size = _prefixes(texts, threshold)
    order = np.lexsort((owner, size, shingle))
    shingle, owner, size = shingle[order], owner[order], size[order]
    found = [np.empty(0, dtype=np.int64)]
    for step in range(1, _NEIGHBOURS + 1):
        together = shingle[step:] == shingle[:-step]
        if not together.any():
            break
        together &= size[:-step] >= _smallest_overlap(size[step:], threshold)
        pair = np.stack([owner[:-step][together], owner[step:][together]])
        found.append(pair.min(axis=0) * len(texts) + pair.max(axis=0))
    keys = np.unique(np.concatenate(found))
    return np.stack([keys // max(len(texts), 1), keys % max(len(texts), 1)], axis=1)


def _similarities(texts: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (p,) the exact Jaccard similarity of each pair of texts."""
    involved, number = np.unique(pairs, return_inverse=True)
    left, right = number.reshape(pairs.shape).T
    sets = _membership([texts[row] for row in involved])
    size = np.diff(sets.indptr)
    shared = [np.empty(0)]
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        some = slice(start, start + _PAIRS_AT_ONCE)
        shared.append(np.asarray(sets[left[some]].multiply(sets[right[some]]).sum(axis=1)).ravel())
    overlap = np.concatenate(shared)
    similarity: NDArray[np.float64] = overlap / np.maximum(size[left] + size[right] - overlap, 1)
    return similarity


def _membership(texts: Sequence[str]) -> scipy.sparse.csr_array:
    """Return (texts, distinct shingles) with 1 where the text holds the shingle."""
    owners, shingles = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for chunk in chunks(texts):
        owners.append(chunk.first + chunk.text)
        shingles.append(_shingles(chunk))
    distinct, column = np.unique(np.concatenate(shingles), return_inverse=True)
    owner = np.concatenate(owners)
    ones = np.ones(owner.size, dtype=np.int32)
    matrix = scipy.sparse.csr_array((ones, (owner, column)), shape=(len(texts), max(distinct.size, 1)))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
