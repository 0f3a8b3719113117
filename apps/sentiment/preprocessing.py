"""Text to numbers, inside the graph: cleaning, tokens, token ids and hashed n-grams.

Training, `predict` and the exported model all run this one layer, so none can see another text than the others.
Only standard TensorFlow string ops are used: the SavedModel runs in stock TF Serving.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from apps.sentiment import lexicon, wordpiece

PADDING = 0
UNKNOWN = 1
RESERVED_IDS = 2

# (pattern, replacement) in RE2 syntax, applied in this order to lower-cased text. An apostrophe that belongs to a word
# becomes the letter apostrophe U+02BC, so that cleaning its own output changes nothing. A whole match (\0) is found
# several times faster than a group.
_CLEANING = (
    (r"<br\s*/?>|</?(?:p|div|i|b|em|strong|span|a)(?:\s[^<>]*)?/?>", " "),
    # Every space but the plain one, which need not be replaced by itself.
    (r"&nbsp;|[^\P{Z} ]|\p{Cc}", " "),
    (r"&quot;", '"'),
    (r"&lt;", "<"),
    (r"&gt;", ">"),
    (r"&#0?39;|[‘’`´]", "'"),
    (r"&amp;", "&"),
    (r"[“”«»]", '"'),
    (r"https?://\S+|www\.\S+", " <url> "),
    (r"([a-z])n['ʼ]t\b", r"\1 nʼt"),
    (r"([\p{L}\p{N}])['ʼ](s|m|re|ve|ll|d)\b", r"\1 ʼ\2"),
    (r"([\p{L}\p{N}])'([\p{L}\p{N}])", r"\1ʼ\2"),
    (r"'", " "),
    # Scripts written without spaces: every character is a token.
    (r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]", r" \0 "),
    # Every sign that is not part of a word is a token of its own; repeated dots and marks stay together.
    (r"<url>|\.\.+|!!+|\?\?+|[^\p{L}\p{N}\p{M}\s]", r" \0 "),
)

# Characters of a token that its character n-grams are made of: no word of a language is longer, a pasted blob may be.
TOKEN_CHARACTERS = 40

# Odd 62-bit constants of a multiply-xorshift mixer (Steele, Lea and Flood 2014, "SplittableRandom").
_MULTIPLIER = np.int64(0x1E3779B97F4A7C15)
_SECOND_MULTIPLIER = np.int64(0x14D049BB133111EB)


def tokenize(texts: Any) -> tf.RaggedTensor:
    """Clean and split texts.

    Invalid UTF-8 becomes U+FFFD; case, HTML breaks and entities, quotes and links are made uniform; nothing else is
    dropped, so negation, punctuation, emoji and every script stay.

    Args:
        texts: (batch,) string.

    Returns:
        (batch, tokens) ragged string.
    """
    texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace", replace_control_characters=False)
    # tf.strings.lower ends a text at its first NUL.
    texts = tf.strings.regex_replace(texts, r"\x00", " ")
    texts = tf.strings.lower(texts, encoding="utf-8")
    for pattern, replacement in _CLEANING:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.split(texts)


def as_written(tokens: tf.RaggedTensor) -> tf.RaggedTensor:
    """Undo what ``tokenize`` does to apostrophes, which encoders know: "do", "nʼt" become "don", "'t", token by token.

    Args:
        tokens: (batch, tokens) ragged string.
    """
    flat, rows = tokens.flat_values, tokens.value_rowids()
    negation = flat == "nʼt"
    follows = tf.concat([negation[1:] & (rows[1:] == rows[:-1]), tf.zeros_like(negation[:1])], axis=0)
    joined = tf.concat([tf.zeros_like(negation[:1]), follows[:-1]], axis=0)
    flat = tf.where(follows, tf.strings.join([flat, "n"]), flat)
    flat = tf.where(joined, "'t", flat)
    return tokens.with_flat_values(tf.strings.regex_replace(flat, "ʼ", "'"))


@keras.saving.register_keras_serializable(package="fieldnets")
class TextFeatures(keras.layers.Layer):  # type: ignore[misc]
    """Raw texts to what the networks read.

    Call: (batch,) string -> mapping of

    - ``tokens``: (batch, longest) int32 vocabulary ids, 0 = padding, 1 = unknown; of a text longer than
      ``sequence_length`` the first and the last half are kept.
    - ``ngrams``: (batch, most) int32 buckets, each at most once per text, 0 = padding: word n-grams in
      [1, buckets], the character n-grams of every token in [buckets + 1, 2 * buckets], and after these
      ``lexicon.BUCKETS`` for the n-grams of the tokens that have a symbol, whatever stands between them. A token's
      characters stand between spaces, so that beginnings and ends of words have n-grams of their own
      (Bojanowski et al. 2017, https://aclanthology.org/Q17-1010).
    - ``pieces``: (batch, most) int32 ids of word pieces between ``[CLS]`` and ``[SEP]``, 0 = padding; of more than
      ``piece_length`` the first and the last half are kept.

    Args:
        vocabulary: The known tokens; token ``i`` has id ``i + 2``.
        sequence_length: Most tokens that ``tokens`` keeps.
        ngram_orders: Longest word n-gram, from 1 on; 0 = no n-grams of either kind.
        character_orders: Lengths of the character n-grams, boundary spaces included; () = none.
        buckets: Number of hash buckets of words, and of characters.
        ngram_tokens: Most tokens that n-grams are made of.
        symbols: What the words of the lexicon are called in the n-grams of these words alone; {} = none.
        pieces: The word pieces of an encoder by their ids; () = no encoder reads the texts.
        piece_length: Most pieces of a text, ``[CLS]`` and ``[SEP]`` included.
        name: The layer's name.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        vocabulary: Sequence[str],
        sequence_length: int,
        ngram_orders: int,
        character_orders: Sequence[int],
        buckets: int,
        ngram_tokens: int,
        symbols: Mapping[str, str] | None = None,
        pieces: Sequence[str] = (),
        piece_length: int = 0,
        name: str = "text_features",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(name=name, trainable=False, dtype=dtype)
        self.vocabulary = list(vocabulary)
        self.sequence_length = sequence_length
        self.ngram_orders = ngram_orders
        self.character_orders = list(character_orders)
        self.buckets = buckets
        self.ngram_tokens = ngram_tokens
        self.symbols = dict(symbols or {})
        ids = tf.range(2, len(self.vocabulary) + 2, dtype=tf.int32)
        self.table = _table(self.vocabulary, ids, default=UNKNOWN)
        if self.symbols:
            names = tf.constant(list(self.symbols.values()), tf.string)
            self.symbol_table = _table(list(self.symbols), names, default="")
        self.pieces = list(pieces)
        self.piece_length = piece_length
        self.word_pieces = wordpiece.WordPieces(self.pieces) if self.pieces else None
        # Traced once for all signatures and datasets that read texts: the graph has some thousand nodes.
        self._traced = tf.function(self._features_of, input_signature=[tf.TensorSpec([None], tf.string)])

    def call(self, texts: Any) -> dict[str, Any]:
        """Return the mapping described above."""
        features: dict[str, Any] = self._traced(texts)
        return features

    def _features_of(self, texts: Any) -> dict[str, Any]:
        tokens = tokenize(texts)
        kept = wordpiece.head_and_tail(tokens, self.sequence_length)
        features = {"tokens": _dense(kept.with_flat_values(self.table.lookup(kept.flat_values)))}
        if self.ngram_orders:
            features["ngrams"] = self._ngrams(wordpiece.head_and_tail(tokens, self.ngram_tokens))
        if self.word_pieces is not None:
            features["pieces"] = _dense(self.word_pieces.of_texts(as_written(tokens), length=self.piece_length))
        return features

    def statistics(self, texts: Any) -> dict[str, Any]:
        """Return ``length`` (batch,) int32 tokens, and ``out_of_vocabulary`` (batch,) float32 share of them."""
        tokens = tokenize(texts)
        unknown = tokens.with_flat_values(tf.cast(self.table.lookup(tokens.flat_values) == UNKNOWN, tf.float32))
        length = tf.cast(tokens.row_lengths(), tf.int32)
        share = tf.math.divide_no_nan(tf.reduce_sum(unknown, axis=1), tf.cast(length, tf.float32))
        return {"length": length, "out_of_vocabulary": share}

    def compute_output_spec(self, texts: Any) -> dict[str, keras.KerasTensor]:
        """Declare the outputs, since Keras cannot trace ragged strings by itself."""
        shape = (texts.shape[0], None)
        names = ["tokens", *(["ngrams"] if self.ngram_orders else []), *(["pieces"] if self.pieces else [])]
        return {name: keras.KerasTensor(shape, dtype="int32", name=name) for name in names}

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = ("vocabulary", "sequence_length", "ngram_orders", "character_orders", "buckets", "ngram_tokens")
        return {name: getattr(self, name) for name in (*own, "symbols", "pieces", "piece_length", "name")}

    def ngram_places(self, tokens: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Return where the n-grams of one text's tokens (k,) string stand, in a graph too.

        Returns:
            For each kind and length: buckets (n,) int64, and the positions of their tokens (n, length) int64.
        """
        row = tf.RaggedTensor.from_row_lengths(tokens, tf.size(tokens, tf.int64)[tf.newaxis])
        every = tf.range(tf.size(tokens, tf.int64))
        found = _places(self._word_ngrams(row), every)
        if self.symbols:
            found += _places(self._lexicon_ngrams(row), tf.boolean_mask(every, self.symbol_table.lookup(tokens) != ""))
        characters = self._character_ngrams(tokens)
        return [*found, (characters.flat_values, characters.value_rowids()[:, tf.newaxis])]

    def piece_places(self, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the word pieces read of one text's tokens (k,) string, and where each one's token stands.

        Returns:
            (m,) int32 ids; (m,) int64 positions in [0, k), -1 for what begins and ends a text.

        Raises:
            ValueError: No encoder reads the texts.
        """
        if self.word_pieces is None:
            raise ValueError("Expected features with word pieces. Received: none")
        row = tf.RaggedTensor.from_row_lengths(tokens, tf.size(tokens, tf.int64)[tf.newaxis])
        return self.word_pieces.places(as_written(row).flat_values, length=self.piece_length)

    def _ngrams(self, tokens: tf.RaggedTensor) -> tf.Tensor:
        kinds = self._word_ngrams(tokens)
        if self.character_orders:
            kinds.append(self._characters_of_texts(tokens))
        if self.symbols:
            kinds += self._lexicon_ngrams(tokens)
        return _distinct(tf.cast(_dense(tf.concat(kinds, axis=1)), tf.int32))

    def _word_ngrams(self, tokens: tf.RaggedTensor) -> list[tf.RaggedTensor]:
        """Return one ragged (batch, n-grams) int64 of buckets for each order, in reading order."""
        hashes = tf.strings.to_hash_bucket_fast(tokens.flat_values, 2**62)
        runs = _runs(tokens.with_flat_values(hashes), range(1, self.ngram_orders + 1))
        return [run.with_flat_values(tf.math.floormod(run.flat_values, self.buckets) + 1) for run in runs]

    def _lexicon_ngrams(self, tokens: tf.RaggedTensor) -> list[tf.RaggedTensor]:
        """Return one ragged (batch, n-grams) int64 of buckets for each order, over the tokens that have a symbol."""
        symbols = self.symbol_table.lookup(tokens.flat_values)
        found = symbols != ""
        hashes = tf.strings.to_hash_bucket_fast(tf.boolean_mask(symbols, found), 2**62)
        rows = tf.boolean_mask(tokens.value_rowids(), found)
        words = tf.RaggedTensor.from_value_rowids(hashes, rows, nrows=tokens.nrows())
        first = 2 * self.buckets + 1
        runs = _runs(words, range(1, lexicon.ORDERS + 1))
        return [run.with_flat_values(tf.math.floormod(run.flat_values, lexicon.BUCKETS) + first) for run in runs]

    def _characters_of_texts(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Return ragged (batch, n-grams) int64 of buckets: those of each of a text's distinct tokens, once."""
        words, word_of = tf.unique(tokens.flat_values, tf.int64)
        count = tf.size(words, tf.int64)
        pairs, _ = tf.unique(tokens.value_rowids() * count + word_of)
        of_pairs = tf.gather(self._character_ngrams(words), pairs % count)
        texts = tf.gather(pairs // count, of_pairs.value_rowids())
        return tf.RaggedTensor.from_value_rowids(of_pairs.flat_values, texts, nrows=tokens.nrows())

    def _character_ngrams(self, words: tf.Tensor) -> tf.RaggedTensor:
        """Map (n,) string to ragged (n, n-grams) int64 of buckets."""
        cut = tf.strings.substr(words, 0, TOKEN_CHARACTERS, unit="UTF8_CHAR")
        characters = tf.strings.unicode_decode(tf.strings.join([" ", cut, " "]), "UTF-8")
        runs = _runs(
            characters.with_flat_values(_mix(tf.cast(characters.flat_values, tf.int64))), self.character_orders
        )
        joined = tf.concat([tf.zeros_like(characters[:, :0], tf.int64), *runs], axis=1)
        return joined.with_flat_values(tf.math.floormod(joined.flat_values, self.buckets) + self.buckets + 1)


def _table(keys: Sequence[str], values: tf.Tensor, *, default: int | str) -> tf.lookup.StaticHashTable:
    """Return a table of the graph, which a saved model carries."""
    known = tf.lookup.KeyValueTensorInitializer(tf.constant(list(keys), tf.string), values)
    return tf.lookup.StaticHashTable(known, default_value=default)


def _dense(rows: tf.RaggedTensor) -> tf.Tensor:
    """Pad to the longest row, and to one column where all are empty: no network can read a width of 0."""
    padded = rows.to_tensor(PADDING)
    return tf.pad(padded, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(padded)[1])]])


def _runs(units: tf.RaggedTensor, orders: Iterable[int]) -> list[tf.RaggedTensor]:
    """Hash every run of neighbours in a row: ragged (n, units) int64 to one ragged (n, runs) int64 per order.

    Args:
        units: Hashes of words or of characters.
        orders: Lengths of the runs, each at least 1.
    """
    wanted = set(orders)
    rows, found, current = units.value_rowids(), [], units.flat_values
    for order in range(1, max(wanted, default=0) + 1):
        if order > 1:
            current = _mix(current[:-1] * 31 + units.flat_values[order - 1 :])
        if order in wanted:
            # The run that starts at position i ends in the same row, or is none.
            whole = rows[: tf.size(current)] == rows[order - 1 :]
            run, row_of = tf.boolean_mask(current, whole), tf.boolean_mask(rows[: tf.size(current)], whole)
            found.append(tf.RaggedTensor.from_value_rowids(run, row_of, nrows=units.nrows()))
    return found


def _places(runs: Sequence[tf.RaggedTensor], positions: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Return the buckets of one text's runs, of length 1, 2 and so on, and the positions of their units."""
    found = []
    for order, run in enumerate(runs, start=1):
        starts = tf.range(tf.size(run.flat_values))
        found.append((run.flat_values, tf.gather(positions, starts[:, tf.newaxis] + tf.range(order))))
    return found


def _distinct(buckets: tf.Tensor) -> tf.Tensor:
    """Replace repeats within a row by 0: that an n-gram occurs tells more than how often (Wang and Manning 2012)."""
    ordered = tf.sort(buckets, axis=1, direction="DESCENDING")
    repeats = tf.concat([tf.zeros_like(ordered[:, :1], tf.bool), ordered[:, 1:] == ordered[:, :-1]], axis=1)
    return tf.where(repeats, PADDING, ordered)


def _mix(values: tf.Tensor) -> tf.Tensor:
    """Scramble int64 values so that every bit depends on every bit; the result is not negative."""
    for multiplier in (_MULTIPLIER, _SECOND_MULTIPLIER):
        values = tf.bitwise.bitwise_xor(values, tf.bitwise.right_shift(values, tf.constant(31, tf.int64))) * multiplier
    return tf.bitwise.bitwise_and(
        tf.bitwise.bitwise_xor(values, tf.bitwise.right_shift(values, tf.constant(29, tf.int64))),
        tf.constant(2**62 - 1, tf.int64),
    )
