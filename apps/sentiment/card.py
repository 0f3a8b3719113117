"""What a user must know before relying on the model: the model card that travels inside the bundle."""

from apps.sentiment import run as loaded_run
from shared.report import model_card


def build(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; it says so when the run has not been evaluated."""
    settings = run.settings
    said = model_card.ModelCard(
        name="sentiment",
        summary="Scores a text as one of the classes it was trained on, with calibrated probabilities, and abstains.",
        details={
            "networks": ", ".join(settings.networks),
            "parameters": f"{run.model.count_params():,}",
            "training": "from scratch on the training part; no pretrained vectors or models",
            "word ratings": "VADER lexicon (Hutto and Gilbert 2014), English" if settings.lexicon else "none",
        },
        intended_uses=[
            "Sorting and summarising opinions in texts like those it was trained on.",
            "Sending the texts on which it abstains to a person.",
        ],
        out_of_scope=[
            "Decisions about single persons, such as hiring, credit, moderation without review, or health.",
            "Languages and domains other than those of the training data: monitor drift and evaluate first.",
            "Sarcasm, and opinions about several things in one text: the score is of the whole text.",
        ],
        factors=[
            "length of the text",
            "source",
            "share of unknown words",
            "negation, typos, names (see the behaviour tests)",
        ],
        ethical_considerations=[
            "Texts may mention persons. The report's template test shows how much names and origins move the score.",
            "Reviews hold profanity and insults; the explanations show words as they stand.",
        ],
        caveats=[
            "Probabilities are calibrated on validation texts of the same source; elsewhere they may be overconfident.",
            "Texts longer than the reading limit are read at their beginning and end.",
        ],
    )
    return model_card.of_run(said, run.folder, settings.data)
