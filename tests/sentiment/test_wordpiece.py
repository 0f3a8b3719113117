"""Word pieces inside the graph, against Hugging Face's tokenizers and against BERT's rules written in Python."""

import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from apps.sentiment import export, wordpiece
from shared import errors
from shared.models import encoder_weights

pytestmark = pytest.mark.tensorflow
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("un", "##aff", "##able", "##ab", "##le", "a", "b", "##a", "##b", "##ba", "e", "##e", "o", "##o"),
    *("!", "'", ",", "-", "$", "漢", "字", "ss", "##s", "i", "##i", "aff", "it", "not", "good"),
]
LETTERS = "abelofisuABEé ÉßİÅ漢字!,'-$_\ufffd\u3000\xa0\n\t\0\u0301\u200b"
PIECES = wordpiece.WordPieces(VOCABULARY)


def tokenized(pieces: wordpiece.WordPieces, texts: list[str]) -> list[list[int]]:
    run = tf.function(lambda given: pieces.of_texts(wordpiece.words_of(given), length=100_000))
    found: list[list[int]] = run(tf.constant(texts, tf.string)).to_list()
    return found


def by_hand(text: str) -> list[int]:
    """Tokenize as Devlin et al.'s ``tokenization.py`` describes: clean, space, strip, split, longest match first."""

    def kind(character: str) -> str:
        return unicodedata.category(character)

    kept = "".join(c for c in text if c in "\t\n\r" or not (c in "\0�" or kind(c).startswith("C")))
    spaced = "".join(f" {c} " if 0x4E00 <= ord(c) <= 0x9FFF else " " if c.isspace() else c for c in kept)
    found = [VOCABULARY.index("[CLS]")]
    for word in spaced.split():
        plain = "".join(c for c in unicodedata.normalize("NFD", word) if kind(c) != "Mn").lower()
        parts = "".join(f" {c} " if kind(c).startswith("P") or c in "$+<=>^`|~" else c for c in plain).split()
        for part in parts:
            found += longest_first(part)
    return [*found, VOCABULARY.index("[SEP]")]


def longest_first(word: str) -> list[int]:
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in VOCABULARY:
                found.append(VOCABULARY.index(piece))
                start = end
                break
        else:
            return [VOCABULARY.index("[UNK]")]
    return found if len(word) <= wordpiece.WORD_CHARACTERS else [VOCABULARY.index("[UNK]")]


def test_pieces_are_those_of_the_rules_written_in_python() -> None:
    generator = random.Random(1)
    texts = ["".join(generator.choices(LETTERS, k=generator.randrange(14))) for _ in range(2000)]
    for text, found in zip(texts, tokenized(PIECES, texts), strict=True):
        assert found == by_hand(text), ascii(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unaffable", ["un", "##aff", "##able"]),
        ("UNAFFABLE!", ["un", "##aff", "##able", "!"]),
        ("unx", ["[UNK]"]),
        ("abba", ["a", "##b", "##ba"]),
        ("", []),
        ("é漢字", ["e", "漢", "字"]),
        ("a" * 101, ["[UNK]"]),
        ("a" * 100, ["a"] + ["##a"] * 99),
        ("it's", ["it", "'", "[UNK]"]),
    ],
)
def test_texts_whose_pieces_are_known(text: str, expected: list[str]) -> None:
    (found,) = tokenized(PIECES, [text])
    assert [VOCABULARY[i] for i in found] == ["[CLS]", *expected, "[SEP]"]


def odd_texts() -> list[str]:
    """Return texts of many scripts, signs and control characters, drawn at random, and the export's awkward ones."""
    generator = random.Random(0)
    blocks = [(0x20, 0x7F), (0x80, 0x250), (0x370, 0x530), (0x590, 0x780), (0x900, 0x980), (0x1E00, 0x2200)]
    blocks += [(0x2200, 0x2C00), (0x3040, 0x3200), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xF900, 0xFB10)]
    blocks += [(0x1F300, 0x1F700), (0, 0x20), (0x20000, 0x2CF00)]
    texts = list(export.AWKWARD)
    for _ in range(1500):
        first, last = generator.choice([*blocks, *[blocks[0]] * 6])
        points = [generator.randrange(first, last) for _ in range(generator.randrange(1, 40))]
        texts.append("".join(" " if generator.random() < 0.15 else chr(point) for point in points))
    return texts


@pytest.mark.skipif(not encoder_weights.VOCABULARY.installed, reason="the extra `encoder` is not installed")
def test_pieces_are_those_of_the_reference_on_odd_texts() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    reference = tokenizers.Tokenizer.from_str(encoder_weights.VOCABULARY.read().decode())
    reference.no_padding()
    reference.no_truncation()
    pieces = wordpiece.WordPieces(encoder_weights.read_minilm().vocabulary)
    texts = odd_texts()
    found = tokenized(pieces, texts)
    differing = [text for text, ids in zip(texts, found, strict=True) if reference.encode(text).ids != ids]
    # An accent since Unicode 11 and a mark of punctuation since Unicode 14: letters in the reference's older tables.
    assert [text for text in differing if not {"\u09fe", "\u061d"} & set(text)] == []


def test_of_a_long_text_the_first_and_last_pieces_are_read_and_each_knows_its_word() -> None:
    generator = random.Random(2)
    for length in (3, 4, 7, 12):
        words = generator.choices(["a", "unaffable", "good", "not", "xyz"], k=generator.randrange(20))
        ids, places = PIECES.places(tf.constant(words, tf.string), length=length)
        inner = [(piece, number) for number, word in enumerate(words) for piece in longest_first(word)]
        room = length - 2
        head = (room + 1) // 2
        kept = inner if len(inner) <= room else inner[:head] + inner[len(inner) - (room - head) :]
        found = list(zip(ids.numpy().tolist(), places.numpy().tolist(), strict=True))
        assert found == [(2, -1), *kept, (3, -1)]


def test_a_vocabulary_without_its_special_pieces_is_refused() -> None:
    with pytest.raises(errors.InputError, match=r"expected \[PAD\], \[UNK\], \[CLS\], \[SEP\].*Received: no \[SEP\]"):
        wordpiece.WordPieces(["[PAD]", "[UNK]", "[CLS]", "a"])
    with pytest.raises(errors.InputError, match=r"expected \[PAD\] first\. Received: 'a'"):
        wordpiece.WordPieces(["a", "[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    with pytest.raises(errors.InputError, match="each piece once"):
        wordpiece.WordPieces([*VOCABULARY, "a"])


def test_words_without_a_piece_stay_empty_and_keep_their_places() -> None:
    found = PIECES.of_words(tf.constant(["good", "\u0301", "not"], tf.string))
    assert np.array_equal(found.row_lengths(), [1, 0, 1])
