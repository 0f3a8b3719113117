"""What a sentiment model should be able to do: seeded test cases in CheckList's three kinds.

Minimum functionality: the class of a simple text is known. Invariance: a change that carries no sentiment
changes nothing. Direction: a change that carries sentiment moves the score that way, or not at all. No
TensorFlow here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from apps.sentiment.checklist import templates

Kind = Literal["minimum functionality", "invariance", "direction"]
# Cases per test, at most some 200: the simplest templates have few more fillings.
CASES = 80
_SHORTEST_MISSPELT = 4


@dataclasses.dataclass(frozen=True)
class Case:
    """One text, and for invariance and direction tests the same text changed.

    Attributes:
        text: The text.
        changed: The text after the change; equal to ``text`` for minimum functionality.
        direction: The sentiment expected (minimum functionality), or the way in which the score may move.
    """

    text: str
    changed: str
    direction: int = templates.NEUTRAL


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Capability:
    """Cases that probe one ability.

    Attributes:
        kind: What makes a case fail.
        name: The ability, in a word or two.
        description: What the texts are and what is expected.
        cases: The cases.
        neutral_passes: Whether a neutral prediction passes where a positive or negative one is expected.
    """

    kind: Kind
    name: str
    description: str
    cases: tuple[Case, ...]
    neutral_passes: bool = False


def suite(*, seed: int, neutral_class: bool = False) -> tuple[Capability, ...]:
    """Build every test of the suite.

    Args:
        seed: Equal seeds give equal texts.
        neutral_class: Whether the model has a neutral class; without one, neutral texts have no correct class.
    """
    random = np.random.default_rng(seed)
    reviews = [_review(random) for _ in range(CASES)]
    abilities = [ability for ability in templates.ABILITIES if neutral_class or not ability.neutral]
    return (
        *(_minimum_functionality(ability, random) for ability in abilities),
        *(_invariance(name, description, change, reviews, random) for name, description, change in _INVARIANCE),
        *(_remarks(name, remarks, reviews, random) for name, remarks in templates.REMARKS),
        _degree("Intensifiers", "A stronger adverb does not make an opinion weaker", "intensifier", random),
        _degree("Reducers", "A weakening adverb does not make an opinion stronger", "reducer", random),
    )


def _review(random: np.random.Generator) -> Review:
    direction = templates.POSITIVE if random.random() < 0.5 else templates.NEGATIVE
    template = templates.REVIEWS[int(random.integers(len(templates.REVIEWS)))]
    opinion = templates.pick(_opinion(direction), random)
    words = {slot: templates.pick(slot, random) for slot in templates.slots(template) if slot != "opinion"}
    return Review(template=template, words={**words, "opinion": opinion})


def _opinion(direction: int) -> str:
    return "positive" if direction == templates.POSITIVE else "negative"


def _minimum_functionality(ability: templates.Ability, random: np.random.Generator) -> Capability:
    found: dict[str, Case] = {}
    choices = ability.templates
    # A filling that repeats is drawn again; the bound only matters for a template with too few fillings.
    for attempt in range(20 * CASES):
        template, direction = choices[attempt % len(choices)]
        text = templates.fill(template, random)
        found[text] = Case(text, text, direction)
        if len(found) == CASES:
            break
    return Capability(
        kind="minimum functionality",
        name=ability.name,
        description=ability.description,
        cases=tuple(found.values()),
        neutral_passes=ability.neutral_passes,
    )


def _invariance(
    name: str, description: str, change: Change, reviews: list[Review], random: np.random.Generator
) -> Capability:
    cases = tuple(Case(review.text, change(review, random)) for review in reviews)
    return Capability(kind="invariance", name=name, description=description, cases=cases)


def _remarks(
    name: str, remarks: dict[int, tuple[str, ...]], reviews: list[Review], random: np.random.Generator
) -> Capability:
    """Append a remark of known sentiment, in turn a positive and a negative one."""
    cases = []
    for position, review in enumerate(reviews):
        direction = templates.POSITIVE if position % 2 == 0 else templates.NEGATIVE
        remark = remarks[direction][int(random.integers(len(remarks[direction])))]
        cases.append(Case(review.text, f"{review.text} {remark}", direction))
    praise = remarks[templates.POSITIVE][0]
    description = f"Added praise, such as “{praise}”, or blame never moves the score the other way"
    return Capability(kind="direction", name=name, description=description, cases=tuple(cases))


def _degree(
    name: str, description: str, adverb: Literal["intensifier", "reducer"], random: np.random.Generator
) -> Capability:
    """Put an adverb before the adjective of a plain opinion."""
    found = []
    for position in range(CASES):
        sentiment = templates.POSITIVE if position % 2 == 0 else templates.NEGATIVE
        opinion = templates.pick(_opinion(sentiment), random)
        text = templates.fill("The {thing} was {opinion}.", random, {"opinion": opinion})
        changed = text.replace(opinion, f"{templates.pick(adverb, random)} {opinion}")
        found.append(Case(text, changed, sentiment if adverb == "intensifier" else -sentiment))
    return Capability(kind="direction", name=name, description=description, cases=tuple(found))


def exchange(slot: str) -> Change:
    """Return the change that puts another word of the same kind into ``slot``."""

    def change(review: Review, random: np.random.Generator) -> str:
        others = [word for word in templates.WORDS[slot] if word != review.words[slot]]
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
    facts = random.permutation(np.array(templates.WORDS["facts"], object))[:3]
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


_INVARIANCE: tuple[tuple[str, str, Change], ...] = (
    ("Person names", "Another person's name", exchange("name")),
    ("Places", "Another city", exchange("place")),
    ("Numbers", "Another running time", exchange("minutes")),
    ("Neutral words", "“film”, “movie” or “picture”", exchange("whole")),
    ("Typos", "Two letters swapped in a word without sentiment", misspell_a_plain_word),
    ("Typos in opinions", "Two letters swapped in the word that carries the opinion", misspell_opinion),
    ("Contractions", "“did not” as “didn't”", contract),
    ("Letter case", "The whole text in capitals", shout),
    ("Punctuation", "The final full stop dropped or repeated", punctuate),
    ("Links and handles", "A link or a handle appended", append_link),
    ("Markup", "HTML line breaks and typographic apostrophes", mark_up),
    ("Neutral emoji", "An emoji without sentiment appended", append_emoji),
    ("Added length", "Three sentences about the plot in front", prepend_facts),
)
