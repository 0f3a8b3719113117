"""Changes that leave the sentiment of a review as it was, for the invariance tests; no TensorFlow."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from apps.sentiment.checklist import lexicon

_SHORTEST_MISSPELT = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Review:
    """A template of ``templates.REVIEWS`` with a word chosen for each slot, so that one can be exchanged."""

    template: str
    words: Mapping[str, str]

    @property
    def text(self) -> str:
        """The review as it is read."""
        return self.template.format_map(self.words)

    def replaced(self, slot: str, word: str) -> str:
        """Return the text with ``word`` in one slot."""
        return self.template.format_map({**self.words, slot: word})


Change = Callable[[Review, np.random.Generator], str]


def exchange(slot: str) -> Change:
    """Return the change that puts another word of the same kind into ``slot``."""

    def change(review: Review, random: np.random.Generator) -> str:
        others = [word for word in lexicon.WORDS[slot] if word != review.words[slot]]
        return review.replaced(slot, others[int(random.integers(len(others)))])

    return change


def misspell_a_plain_word(review: Review, random: np.random.Generator) -> str:
    """Swap two letters in a word of the template itself, which carries no sentiment and no name."""
    plain = [word for word in review.template.split() if word.isalpha() and len(word) >= _SHORTEST_MISSPELT]
    word = plain[int(random.integers(len(plain)))]
    return review.text.replace(word, swap_letters(word, random), 1)


def misspell_opinion(review: Review, random: np.random.Generator) -> str:
    """Swap two letters in the adjective, wherever it stands."""
    return review.replaced("opinion", swap_letters(review.words["opinion"], random))


def contract(review: Review, random: np.random.Generator) -> str:  # noqa: ARG001  # every change has this form
    """Write "did not" as "didn't"."""
    return review.text.replace("did not", "didn't")


def shout(review: Review, random: np.random.Generator) -> str:  # noqa: ARG001
    """Write everything in capitals."""
    return review.text.upper()


def punctuate(review: Review, random: np.random.Generator) -> str:
    """Drop or repeat the final full stop."""
    return review.text.removesuffix(".") + _one_of(("", "..", "...", " ."), random)


def append_link(review: Review, random: np.random.Generator) -> str:
    """Append a link or a handle."""
    number = int(random.integers(1000, 10000))
    return f"{review.text} " + _one_of((f"https://example.org/{number}", f"@viewer{number}"), random)


def mark_up(review: Review, random: np.random.Generator) -> str:  # noqa: ARG001
    """Break lines as web pages do, and use the apostrophe that word processors insert."""
    return review.text.replace(". ", ".<br /><br />").replace("did not", "didn’t")


def append_emoji(review: Review, random: np.random.Generator) -> str:
    """Append an emoji that names the subject and not an opinion."""
    return f"{review.text} " + _one_of(("🎬", "🎥", "🍿", "📺"), random)


def prepend_facts(review: Review, random: np.random.Generator) -> str:
    """Put three sentences about the plot in front."""
    facts = random.permutation(np.array(lexicon.WORDS["facts"], object))[:3]
    return " ".join([*facts, review.text])


def swap_letters(word: str, random: np.random.Generator) -> str:
    """Swap two neighbouring letters that differ; the first letter stays, as in most typing errors.

    >>> swap_letters("dull", np.random.default_rng(0))
    'dlul'
    """
    places = [place for place in range(1, len(word) - 1) if word[place] != word[place + 1]]
    if not places:
        return word
    place = places[int(random.integers(len(places)))]
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def _one_of(choices: tuple[str, ...], random: np.random.Generator) -> str:
    return choices[int(random.integers(len(choices)))]
