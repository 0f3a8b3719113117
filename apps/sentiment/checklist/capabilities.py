"""What a sentiment model should be able to do: seeded test cases in CheckList's three kinds.

Minimum functionality: the answer to a simple text is known. Invariance: a change that carries no sentiment
changes nothing. Direction: a change that carries sentiment moves the score that way, or not at all. No
TensorFlow here.
"""

import dataclasses
from typing import Literal

import numpy as np

from apps.sentiment.checklist import changes, lexicon, templates

Kind = Literal["minimum functionality", "invariance", "direction"]
CASES = 80


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
class Capability:
    """Cases that probe one ability.

    Attributes:
        kind: How a case is judged.
        name: The ability, in a word or two.
        description: What the texts are and what is expected.
        cases: The cases.
        neutral_passes: Whether a neutral answer passes where a positive or negative one is expected.
    """

    kind: Kind
    name: str
    description: str
    cases: tuple[Case, ...]
    neutral_passes: bool = False


def suite(*, seed: int, cases: int = CASES, neutral_class: bool = False) -> tuple[Capability, ...]:
    """Build every test of the suite.

    Args:
        seed: Equal seeds give equal texts.
        cases: Cases per test, at most some 200: the simplest templates have few more fillings.
        neutral_class: Whether the model has a neutral class; without one, neutral texts have no right answer.
    """
    random = np.random.default_rng(seed)
    reviews = [_review(random) for _ in range(cases)]
    abilities = [ability for ability in templates.ABILITIES if neutral_class or not ability.neutral]
    return (
        *(_minimum_functionality(ability, random, cases) for ability in abilities),
        *(_invariance(name, description, change, reviews, random) for name, description, change in _INVARIANCE),
        *(_remarks(name, remarks, reviews, random) for name, remarks in templates.REMARKS),
        _degree("Intensifiers", "A stronger adverb does not make an opinion weaker", "intensifier", random, cases),
        _degree("Reducers", "A weakening adverb does not make an opinion stronger", "reducer", random, cases),
    )


def _review(random: np.random.Generator) -> changes.Review:
    direction = templates.POSITIVE if random.random() < 0.5 else templates.NEGATIVE
    template = templates.REVIEWS[int(random.integers(len(templates.REVIEWS)))]
    opinion = lexicon.pick(_opinion(direction), random)
    words = {slot: lexicon.pick(slot, random) for slot in lexicon.slots(template) if slot != "opinion"}
    return changes.Review(template=template, words={**words, "opinion": opinion})


def _opinion(direction: int) -> str:
    return "positive" if direction == templates.POSITIVE else "negative"


def _minimum_functionality(ability: templates.Ability, random: np.random.Generator, cases: int) -> Capability:
    found: dict[str, Case] = {}
    choices = ability.templates
    # A filling that repeats is drawn again; the bound only matters for a template with too few fillings.
    for attempt in range(20 * cases):
        template, direction = choices[attempt % len(choices)]
        text = lexicon.fill(template, random)
        found[text] = Case(text, text, direction)
        if len(found) == cases:
            break
    return Capability(
        kind="minimum functionality",
        name=ability.name,
        description=ability.description,
        cases=tuple(found.values()),
        neutral_passes=ability.neutral_passes,
    )


def _invariance(
    name: str,
    description: str,
    change: changes.Change,
    reviews: list[changes.Review],
    random: np.random.Generator,
) -> Capability:
    cases = tuple(Case(review.text, change(review, random)) for review in reviews)
    return Capability(kind="invariance", name=name, description=description, cases=cases)


def _remarks(
    name: str,
    remarks: dict[int, tuple[str, ...]],
    reviews: list[changes.Review],
    random: np.random.Generator,
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
    name: str,
    description: str,
    adverb: Literal["intensifier", "reducer"],
    random: np.random.Generator,
    cases: int,
) -> Capability:
    """Put an adverb before the adjective of a plain opinion."""
    found = []
    for position in range(cases):
        sentiment = templates.POSITIVE if position % 2 == 0 else templates.NEGATIVE
        opinion = lexicon.pick(_opinion(sentiment), random)
        text = lexicon.fill("The {thing} was {opinion}.", random, {"opinion": opinion})
        changed = text.replace(opinion, f"{lexicon.pick(adverb, random)} {opinion}")
        found.append(Case(text, changed, sentiment if adverb == "intensifier" else -sentiment))
    return Capability(kind="direction", name=name, description=description, cases=tuple(found))


_INVARIANCE: tuple[tuple[str, str, changes.Change], ...] = (
    ("Person names", "Another person's name", changes.exchange("name")),
    ("Places", "Another city", changes.exchange("place")),
    ("Numbers", "Another running time", changes.exchange("minutes")),
    ("Neutral words", "“film”, “movie” or “picture”", changes.exchange("whole")),
    ("Typos", "Two letters swapped in a word without sentiment", changes.misspell_a_plain_word),
    (
        "Typos in opinions",
        "Two letters swapped in the word that carries the opinion",
        changes.misspell_opinion,
    ),
    ("Contractions", "“did not” as “didn't”", changes.contract),
    ("Letter case", "The whole text in capitals", changes.shout),
    ("Punctuation", "The final full stop dropped or repeated", changes.punctuate),
    ("Links and handles", "A link or a handle appended", changes.append_link),
    ("Markup", "HTML line breaks and typographic apostrophes", changes.mark_up),
    ("Neutral emoji", "An emoji without sentiment appended", changes.append_emoji),
    ("Added length", "Three sentences about the plot in front", changes.prepend_facts),
)
