"""Texts as hashed words, for finding duplicates and neighbours of one subject; never for the model.

Everything works on chunks of about a megabyte, so memory does not grow with the corpus, and on whole NumPy
arrays, so that 34 MB of reviews take about a second.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_CHUNK_BYTES = 1 << 20
_CHUNK_TEXTS = 1 << 14

_TAG = re.compile(r"<[^<>]{1,60}>")
_PUNCTUATION = re.compile("[\u00a0-\u00bf\u2000-\u206f\u3000-\u303f]")
_IDEOGRAPH = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
_IN_WORD = np.array([byte >= 128 or chr(byte).isalnum() for byte in range(256)])
_BASE = np.uint64(0x100000001B3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """The words of consecutive texts.

    Attributes:
        first: Number of the first text of the chunk.
        texts: How many texts it holds.
        text: (w,) int64 number of each word's text within the chunk, ascending.
        word: (w,) uint64 hash of each word, in reading order.
    """

    first: int
    texts: int
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
        texts=len(encoded),
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
