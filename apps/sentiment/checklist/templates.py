"""Sentences of the behavioural suite with ``{slots}``, and the words that fill them.

The kinds of sentence follow CheckList (Ribeiro et al. 2020, https://aclanthology.org/2020.acl-main.442) and
the Equity Evaluation Corpus (Kiritchenko and Mohammad 2018, https://aclanthology.org/S18-2005); the words
are our own. No TensorFlow here.
"""

import dataclasses
import string
from collections.abc import Mapping

import numpy as np

POSITIVE, NEUTRAL, NEGATIVE = 1, 0, -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ability:
    """Templates of one minimum functionality test, by the sentiment that a reader takes from them."""

    name: str
    description: str
    positive: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    neutral_passes: bool = False

    @property
    def templates(self) -> list[tuple[str, int]]:
        """Every template with the sentiment it expresses."""
        return [
            *((template, POSITIVE) for template in self.positive),
            *((template, NEUTRAL) for template in self.neutral),
            *((template, NEGATIVE) for template in self.negative),
        ]


ABILITIES: tuple[Ability, ...] = (
    Ability(
        name="Vocabulary",
        description="A plain opinion in a short sentence",
        positive=("The {thing} was {positive}.", "I {liked} the {thing}.", "What a {whole}, simply {positive}!"),
        negative=("The {thing} was {negative}.", "I {disliked} the {thing}.", "What a {whole}, simply {negative}!"),
    ),
    Ability(
        name="Neutral statements",
        description="A fact without opinion is neutral",
        neutral=(
            "The {whole} is {neutral}.",
            "The {whole} was shot in {place}.",
            "It runs for {minutes} minutes.",
            "{name} plays the lead.",
        ),
    ),
    Ability(
        name="Negated praise",
        description="“not good” is negative",
        negative=(
            *(
                "The {thing} was not {positive}.",
                "I didn't {like} the {thing}.",
                "The {thing} isn't {positive} at all.",
            ),
            *("I would never call the {thing} {positive}.", "There is nothing {positive} about the {thing}."),
        ),
    ),
    Ability(
        name="Negated blame",
        description="“not bad” is not negative",
        positive=(
            *("The {thing} was not {negative}.", "I didn't {dislike} the {thing}.", "The {thing} is never {negative}."),
            *("I would never call the {thing} {negative}.", "There is nothing {negative} about the {thing}."),
        ),
        neutral_passes=True,
    ),
    Ability(
        name="Negation at the end",
        description="An expectation that the last words deny",
        positive=("I expected the {thing} to be {negative}, but it was not.",),
        negative=("I expected the {thing} to be {positive}, but it was not.",),
        neutral_passes=True,
    ),
    Ability(
        name="Negation from afar",
        description="Neutral words stand between “not” and the praise that it denies",
        negative=(
            *("I would not say, {aside}, that the {thing} was {positive}.",),
            *("I don't think, {aside}, that anyone will {like} the {thing}.",),
        ),
    ),
    Ability(
        name="Change over time",
        description="The present opinion counts, the past one does not",
        positive=(
            *("I used to find the {thing} {negative}, but now I think it is {positive}.",),
            *("In the past I {disliked} this kind of {whole}, but now I {like} it.",),
        ),
        negative=(
            *("I used to find the {thing} {positive}, but now I think it is {negative}.",),
            *("In the past I {liked} this kind of {whole}, but now I {dislike} it.",),
        ),
    ),
    Ability(
        name="Author against others",
        description="The author's opinion counts, that of others does not",
        positive=(
            *("{critics} {disliked} the {thing}, but I {liked} it.",),
            *("I found the {thing} {positive}, even though others called it {negative}.",),
        ),
        negative=(
            *("{critics} {liked} the {thing}, but I {disliked} it.",),
            *("I found the {thing} {negative}, even though others called it {positive}.",),
        ),
    ),
    Ability(
        name="Question and answer",
        description="A question is answered with yes or no",
        positive=("Did I {like} the {thing}? Yes.", "Was the {thing} {negative}? Not at all."),
        negative=("Did I {like} the {thing}? No.", "Was the {thing} {negative}? Yes, it was."),
        neutral_passes=True,
    ),
    Ability(
        name="Contrast",
        description="What follows “but overall” outweighs what went before",
        positive=("The {thing} was {negative}, but overall the {whole} is {positive}, and I {liked} it.",),
        negative=("The {thing} was {positive}, but overall the {whole} is {negative}, and I {disliked} it.",),
    ),
    Ability(
        name="What might have been",
        description="Praise for what the film is not",
        negative=(
            *("The {thing} could have been {positive}.", "If only the {thing} had been {positive}."),
            *("With another {detail} the {thing} might have been {positive}.", "I wish the {thing} were {positive}."),
        ),
    ),
    Ability(
        name="Opinion after the plot",
        description="An opinion at the end of a neutral account",
        positive=("{facts} It runs for {minutes} minutes. I {liked} it, and the {thing} is {positive}.",),
        negative=("{facts} It runs for {minutes} minutes. I {disliked} it, and the {thing} is {negative}.",),
    ),
)
"""Minimum functionality."""

REVIEWS: tuple[str, ...] = (
    "I {watched} this {whole} with {name} in {place}. The {thing} was {opinion} and so was the {detail}. "
    "It runs for {minutes} minutes and we did not arrive late.",
    "{name} lent me this {whole}, which I {watched} on a train to {place}. It lasts {minutes} minutes. "
    "I did not know the book. I found the {thing} {opinion}, and the {detail} too.",
    "This {whole} was shot in {place} and it did not take long to make. {name} plays the lead for all of its "
    "{minutes} minutes. The {thing} is {opinion}. The {detail} is just as {opinion}.",
)
"""Short reviews of one plain opinion, to which invariance and direction tests apply their changes."""

REMARKS: tuple[tuple[str, dict[int, tuple[str, ...]]], ...] = (
    (
        "Praise or blame",
        {
            POSITIVE: ("I loved it and will watch it again.", "One of the best I have seen.", "Highly recommended."),
            NEGATIVE: ("I hated it and left early.", "One of the worst I have seen.", "Do not waste your time."),
        },
    ),
    ("Marks out of ten", {POSITIVE: ("10 out of 10.", "9/10"), NEGATIVE: ("1 out of 10.", "2/10")}),
    ("Emoji", {POSITIVE: ("👍", "😍", "👏"), NEGATIVE: ("👎", "😡", "🤮")}),
)
"""Names, and remarks that are appended to a review, by the way in which they may move its score."""

PEOPLE: tuple[str, ...] = (
    *("{person} feels {good_feeling}.", "{person} was {good_feeling} after the {whole}."),
    *("The news made {person} {good_feeling}.", "I sat beside {person}, who looked {good_feeling}."),
    *("{person} feels {bad_feeling}.", "{person} was {bad_feeling} after the {whole}."),
    *("The news made {person} {bad_feeling}.", "I sat beside {person}, who looked {bad_feeling}."),
    *("{person} plays the lead.", "I met {person} at the cinema.", "{person} wrote the script."),
    *("The {whole} begins when {person} arrives.", "The camera follows {person} through the town."),
)
"""Sentences about a person whose score should not depend on who the person is."""


NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "African American": {"female": ("Aaliyah", "Keisha", "Shanice"), "male": ("DeShawn", "Jamal", "Tyrone")},
    "Arabic": {"female": ("Fatima", "Layla", "Yasmin"), "male": ("Ahmed", "Khalid", "Omar")},
    "East Asian": {"female": ("Mei-Ling", "Sakura", "Soo-Jin"), "male": ("Hiroshi", "Jin-Woo", "Wei")},
    "European": {"female": ("Emily", "Hannah", "Laura"), "male": ("Daniel", "Peter", "Stephen")},
    "Hispanic": {"female": ("Camila", "Guadalupe", "Lucia"), "male": ("Alejandro", "Diego", "Javier")},
    "South Asian": {"female": ("Ananya", "Lakshmi", "Priya"), "male": ("Arjun", "Rahul", "Sanjay")},
}
"""Given names by the origin most readers take them for, then by gender."""

RELATIONS: Mapping[str, tuple[str, ...]] = {
    "female": ("my sister", "my mother", "my wife", "my aunt", "the actress", "this woman"),
    "male": ("my brother", "my father", "my husband", "my uncle", "the actor", "this man"),
}

WORDS: Mapping[str, tuple[str, ...]] = {
    "positive": (
        *("great", "wonderful", "excellent", "brilliant", "superb", "delightful", "beautiful", "charming"),
        *("fantastic", "moving", "clever", "enjoyable", "impressive", "amazing", "touching", "gripping"),
    ),
    "negative": (
        *("terrible", "awful", "dull", "boring", "horrible", "bad", "poor", "dreadful"),
        *("stupid", "weak", "disappointing", "annoying", "tedious", "lifeless", "clumsy", "pathetic"),
    ),
    "neutral": ("long", "short", "recent", "old", "Italian", "Canadian", "German", "silent"),
    "liked": ("loved", "enjoyed", "admired", "adored", "liked"),
    "disliked": ("hated", "disliked", "loathed", "despised", "detested"),
    "like": ("love", "enjoy", "admire", "adore", "like"),
    "dislike": ("hate", "dislike", "loathe", "despise", "detest"),
    "good_feeling": ("happy", "delighted", "cheerful", "grateful"),
    "bad_feeling": ("angry", "miserable", "afraid", "bitter"),
    "intensifier": ("very", "really", "extremely", "incredibly", "absolutely", "truly"),
    "reducer": ("slightly", "somewhat", "a little", "a bit", "fairly", "mildly"),
    "thing": ("acting", "plot", "script", "ending", "soundtrack", "dialogue", "cast", "direction", "story"),
    "detail": ("lighting", "pacing", "opening", "editing", "camera work", "sound"),
    "whole": ("film", "movie", "picture"),
    "watched": ("watched", "saw", "viewed"),
    "critics": ("Some critics", "My friends", "Most reviewers", "The people behind me", "The papers"),
    "aside": (
        "given all the years I waited for it",
        "after everything my neighbour told me about it",
        "and I sat through it twice this week",
        "now that I have read the book as well",
    ),
    "facts": (
        "A clerk moves to a harbour town and rents a room above a shop.",
        "Two brothers drive a van across the country in four days.",
        "A teacher finds a box of letters and looks for the sender.",
        "The crew of a ferry waits for the fog to lift.",
        "A lawyer takes over an office on the ninth floor.",
    ),
    "name": tuple(name for genders in NAMES.values() for names in genders.values() for name in names),
    "place": ("Boston", "Lagos", "Lisbon", "Chicago", "Mumbai", "Toronto", "Cairo", "Osaka", "Warsaw"),
    "minutes": ("88", "93", "97", "104", "111", "116", "122"),
}
"""What a ``{slot}`` of a template may become."""


def fill(template: str, random: np.random.Generator, words: Mapping[str, str] | None = None) -> str:
    """Put a random word into each ``{slot}`` of ``template`` that ``words`` does not fix.

    >>> fill("The {thing} was {opinion}.", np.random.default_rng(0), {"thing": "plot", "opinion": "weak"})
    'The plot was weak.'
    """
    fixed = words or {}
    chosen = {slot: fixed[slot] if slot in fixed else pick(slot, random) for slot in slots(template)}
    return template.format_map(chosen)


def slots(template: str) -> list[str]:
    """Return the names of the slots of ``template``, each once, in reading order.

    >>> slots("The {thing} was {positive}, the {thing}!")
    ['thing', 'positive']
    """
    return list(dict.fromkeys(name for _, name, _, _ in string.Formatter().parse(template) if name))


def pick(slot: str, random: np.random.Generator) -> str:
    """Return one of the slot's words."""
    words = WORDS[slot]
    return words[int(random.integers(len(words)))]
