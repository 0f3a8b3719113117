"""Word pieces as BERT reads them, inside the graph: normalization, words, and the longest known pieces of each word.

The tokenizer of Devlin et al. 2019 (https://aclanthology.org/N19-1423) for lower-cased models, with the pieces of Wu
et al. 2016 (https://arxiv.org/abs/1609.08144): what Hugging Face's ``BertNormalizer``, ``BertPreTokenizer`` and
``WordPiece`` do.
Only standard TensorFlow string ops are used: the SavedModel runs in stock TF Serving.
"""

import functools
import itertools
import unicodedata
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from shared import errors

PADDING_PIECE, UNKNOWN_PIECE, START_PIECE, END_PIECE = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
CONTINUATION = "##"
# Of a longer word BERT makes one unknown piece.
WORD_CHARACTERS = 100

_REMOVED = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{fffd}\p{Cf}\p{Co}]"
_SPACES = r"[\t\n\r\p{Z}]"
_HAN = (
    r"[\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{20000}-\x{2a6df}\x{2a700}-\x{2b73f}\x{2b740}-\x{2b81f}"
    r"\x{2b920}-\x{2ceaf}\x{f900}-\x{faff}\x{2f800}-\x{2fa1f}]"
)
_PUNCTUATION = r"[\p{P}$+<=>^`|~]"
_ASCII = r"[\x00-\x7f]*"
# Where Unicode has letters with a lower case or an accent; the rest are Han characters, surrogates and private ones.
_CHANGING = (
    range(0x80, 0x3400),
    range(0xA000, 0xD800),
    range(0xF900, 0x20000),
    range(0x2F800, 0x2FA20),
    range(0xE0100, 0xE01F0),
)


def words_of(texts: Any) -> tf.RaggedTensor:
    """Split raw texts (batch,) string at spaces, Han characters standing alone: (batch, words) ragged string."""
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False)
    for pattern, replacement in ((_REMOVED, ""), (_SPACES, " "), (_HAN, r" \0 ")):
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.split(texts)


class WordPieces(tf.Module):  # type: ignore[misc]
    """The known pieces, and how words become them. A module, so that a saved model carries its tables.

    Args:
        vocabulary: The pieces by their ids: ``[PAD]`` first, ``##`` before those that continue a word.

    Raises:
        errors.InputError: The vocabulary lacks a special piece, or names one piece twice.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__(name="word_pieces")
        _check(vocabulary)
        self.unknown, self.start, self.end = (
            vocabulary.index(piece) for piece in (UNKNOWN_PIECE, START_PIECE, END_PIECE)
        )
        self._longest = max(len(piece.removeprefix(CONTINUATION)) for piece in vocabulary)
        keys = tf.constant(list(vocabulary), tf.string)
        self.table = _static(keys, tf.range(len(vocabulary), dtype=tf.int32), default=-1)
        points, replaced = zip(*_replacements(), strict=True)
        self.replacements = _static(tf.constant(points, tf.int32), tf.constant(replaced, tf.string), default="\0")

    def of_words(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Map words (n,) string without spaces to their pieces (n, pieces) ragged int32; a word may have none."""
        distinct, place = tf.unique(words, tf.int64)
        parts = tf.strings.split(tf.strings.regex_replace(self._normalized(distinct), _PUNCTUATION, r" \0 "))
        pieces = self._greedy(parts.flat_values)
        rows = tf.gather(parts.value_rowids(), pieces.value_rowids())
        found = tf.RaggedTensor.from_value_rowids(pieces.flat_values, rows, nrows=tf.size(distinct, tf.int64))
        return tf.gather(found, place)

    def of_texts(self, words: tf.RaggedTensor, *, length: int) -> tf.RaggedTensor:
        """Map texts' words (batch, words) ragged string to pieces between ``[CLS]`` and ``[SEP]``, int32.

        Of more than ``length`` pieces, these two included, the first and the last are kept, as many of each.
        """
        pieces = self.of_words(words.flat_values)
        rows = tf.gather(words.value_rowids(), pieces.value_rowids())
        joined = tf.RaggedTensor.from_value_rowids(pieces.flat_values, rows, nrows=words.nrows())
        kept = head_and_tail(joined, length - 2)
        ends = tf.ones([kept.nrows(), 1], tf.int32)
        return tf.concat([self.start * ends, kept, self.end * ends], axis=1)

    def places(self, words: tf.Tensor, *, length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the pieces of one text's words (n,) string as ``of_texts`` does, and the number of each one's word.

        Returns:
            (m,) int32 ids; (m,) int64 in [0, n), -1 for ``[CLS]`` and ``[SEP]``.
        """
        row = tf.RaggedTensor.from_row_lengths(words, tf.size(words, tf.int64)[tf.newaxis])
        owners = self.of_words(words).value_rowids()
        single = tf.RaggedTensor.from_row_lengths(owners, tf.size(owners, tf.int64)[tf.newaxis])
        kept = head_and_tail(single, length - 2).flat_values
        return self.of_texts(row, length=length).flat_values, tf.pad(kept, [[1, 1]], constant_values=-1)

    def _normalized(self, words: tf.Tensor) -> tf.Tensor:
        """Lower-case words (n,) and take their accents off, character by character."""
        lowered = tf.strings.lower(words)  # ASCII letters, which most words consist of.
        other = tf.where(tf.logical_not(tf.strings.regex_full_match(lowered, _ASCII)))
        points = tf.strings.unicode_decode(tf.gather_nd(lowered, other), "UTF-8")
        found = self.replacements.lookup(points.flat_values)
        kept = tf.strings.unicode_encode(points.flat_values[:, tf.newaxis], "UTF-8")
        characters = points.with_flat_values(tf.where(found == "\0", kept, found))
        return tf.tensor_scatter_nd_update(lowered, other, tf.strings.reduce_join(characters, axis=1))

    def _greedy(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Take the longest known piece from the left, again and again; a word with a rest that is none is unknown."""
        whole = self.table.lookup(words)
        rare = tf.where(whole < 0)[:, 0]
        cut = self._cut(tf.gather(words, rare))
        known = tf.where(whole >= 0)[:, 0]
        ids = tf.concat([tf.gather(whole, known), cut.flat_values], axis=0)
        rows = tf.concat([known, tf.gather(rare, cut.value_rowids())], axis=0)
        order = tf.argsort(rows, stable=True)
        return tf.RaggedTensor.from_value_rowids(
            tf.gather(ids, order), tf.gather(rows, order), nrows=tf.size(words, tf.int64)
        )

    def _cut(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Cut words (n,) that are no pieces themselves: (n, pieces) ragged int32."""
        lengths = tf.strings.length(words, unit="UTF8_CHAR")
        readable = lengths <= WORD_CHARACTERS
        words = tf.where(readable, words, "")
        sizes = tf.range(self._longest, 0, -1)

        def unfinished(position: Any, _found: Any, failed: Any) -> Any:
            return tf.reduce_any((position < lengths) & ~failed)

        def step(position: Any, found: Any, failed: Any) -> Any:
            active = (position < lengths) & ~failed
            ids, size = self._longest_piece(words, position, lengths, sizes)
            moves = active & (ids >= 0)
            found = found.write(found.size(), tf.where(moves, ids, -1))
            return tf.where(moves, position + size, position), found, failed | (active & (ids < 0))

        start = (tf.zeros_like(lengths), tf.TensorArray(tf.int32, 0, dynamic_size=True, infer_shape=False), ~readable)
        _, found, failed = tf.while_loop(unfinished, step, start)
        steps = tf.cond(found.size() > 0, found.stack, lambda: tf.fill([1, tf.size(words)], -1))
        table = tf.transpose(tf.reshape(steps, [-1, tf.size(words)]))
        first = tf.concat([tf.fill([tf.size(words), 1], self.unknown), tf.fill(tf.shape(table[:, 1:]), -1)], axis=1)
        chosen = tf.where(failed[:, tf.newaxis], first, table)
        return tf.ragged.boolean_mask(chosen, chosen >= 0)

    def _longest_piece(self, words: Any, position: Any, lengths: Any, sizes: Any) -> tuple[Any, Any]:
        """Return (n,) the id of the longest piece that starts at each word's position, -1 if none, and its length."""
        fitting = tf.minimum(sizes[tf.newaxis], (lengths - position)[:, tf.newaxis])
        at, many = position[:, tf.newaxis] + tf.zeros_like(fitting), tf.maximum(fitting, 0)
        # A word that is done has no character left to start from.
        inside = tf.minimum(at, tf.maximum(tf.strings.length(words, unit="UTF8_CHAR") - 1, 0)[:, tf.newaxis])
        parts = tf.strings.substr(
            tf.repeat(words[:, tf.newaxis], tf.size(sizes), axis=1), inside, many, unit="UTF8_CHAR"
        )
        ids = self.table.lookup(tf.where(at > 0, tf.strings.join([CONTINUATION, parts]), parts))
        best = tf.argmax(tf.cast(ids >= 0, tf.int32), axis=1)
        return tf.gather(ids, best, batch_dims=1), tf.gather(fitting, best, batch_dims=1)


def head_and_tail(rows: tf.RaggedTensor, length: int) -> tf.RaggedTensor:
    """Keep the first and the last half of ``length`` elements of longer rows: reviews are summed up at their ends."""
    head = (length + 1) // 2
    starts = tf.gather(rows.row_starts(), rows.value_rowids())
    counts = tf.gather(rows.row_lengths(), rows.value_rowids())
    position = tf.range(tf.size(rows.flat_values, tf.int64), dtype=tf.int64) - starts
    keep = (position < head) | (position >= counts - (length - head))
    return tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(rows.flat_values, keep),
        tf.boolean_mask(rows.value_rowids(), keep),
        nrows=rows.nrows(),
    )


@functools.cache
def _replacements() -> tuple[tuple[int, str], ...]:
    """Return what each character beyond ASCII becomes that does not stay: decomposed, without accents, lower case."""
    found = []
    for point in itertools.chain(*_CHANGING):
        character = chr(point)
        decomposed = unicodedata.normalize("NFD", character)
        plain = "".join(part for part in decomposed if unicodedata.category(part) != "Mn")
        lowered = "".join(map(str.lower, plain))
        if lowered != character:
            found.append((point, lowered))
    return tuple(found)


def _static(keys: tf.Tensor, values: tf.Tensor, *, default: int | str) -> tf.lookup.StaticHashTable:
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default_value=default)


def _check(vocabulary: Sequence[str]) -> None:
    special = (PADDING_PIECE, UNKNOWN_PIECE, START_PIECE, END_PIECE)
    missing = [piece for piece in special if piece not in vocabulary]
    if missing or vocabulary[0] != PADDING_PIECE:
        raise errors.InputError(
            f"vocabulary of word pieces: expected {', '.join(special)} among them, {PADDING_PIECE} first. "
            f"Received: no {', '.join(missing)}"
            if missing
            else f"vocabulary of word pieces: expected {PADDING_PIECE} first. Received: {vocabulary[0]!r}"
        )
    if len(set(vocabulary)) < len(vocabulary):
        raise errors.InputError("vocabulary of word pieces: expected each piece once. Received: some twice")
