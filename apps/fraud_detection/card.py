"""What a user must know before relying on the model: the model card that travels inside the bundle."""

from apps.fraud_detection import model
from apps.fraud_detection import run as loaded_run
from shared.report import model_card


def build(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; with a note when the run has not been evaluated."""
    settings = run.settings
    found = run.inputs
    said = model_card.ModelCard(
        name="fraud_detection",
        summary="Ranks card transactions by the probability of fraud, for a queue of alerts within a daily budget.",
        details={
            "networks": ", ".join(model.networks(settings, found)),
            "parameters": f"{run.newest.model.count_params():,}",
            "reads": ", ".join((*found.shown, *found.vocabularies)),
            "label delay": f"{found.schema.label_delay_days:g} days",
        },
        intended_uses=[
            "Choosing which of a day's transactions an investigator looks at first, with reasons.",
            "Comparing with, or adding to, rules that are in place.",
        ],
        out_of_scope=[
            "Refusing a payment or blocking a person without a human decision.",
            "Sources other than those of the training data: monitor drift and evaluate first.",
            "Kinds of fraud that the training weeks do not hold.",
        ],
        factors=["kind of fraud", "amount", "length of the card's history", "delay of the labels", "day"],
        ethical_considerations=[
            "False alarms cost persons time and dignity: compare their rate between groups (`group` in the schema).",
            "Identities of cards and terminals are not features; their histories are.",
        ],
        caveats=[
            "Fraud changes: update with investigators' labels, and keep the champion unless a challenger is better.",
            "Labels exist mostly for what was alerted: estimates from them are biased towards the model.",
        ],
    )
    return model_card.of_run(said, run.folder, settings.data)
