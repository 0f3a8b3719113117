"""Words of the behavioural suite.

The kinds of sentence follow CheckList (Ribeiro et al. 2020, https://aclanthology.org/2020.acl-main.442) and
the Equity Evaluation Corpus (Kiritchenko and Mohammad 2018, https://aclanthology.org/S18-2005); the words
are our own. No TensorFlow here.
"""

import string
from collections.abc import Mapping

import numpy as np

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
