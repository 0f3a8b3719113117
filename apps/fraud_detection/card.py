"""What a user must know before relying on the model: the model card that travels inside the bundle."""

from apps.fraud_detection import model
from apps.fraud_detection import run as loaded_run
from shared import files
from shared.report import metrics, model_card


def build(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; it says so when the run has not been evaluated."""
    folder, settings = run.folder, run.settings
    split = files.read_json(folder.split)
    environment = files.read_json(folder.environment)
    found = run.inputs
    return model_card.ModelCard(
        name="fraud_detection",
        summary="Ranks card transactions by the probability of fraud, for a queue of alerts within a daily budget.",
        details={
            "networks": ", ".join(model.networks(settings, found)),
            "parameters": f"{run.newest.model.count_params():,}",
            "reads": ", ".join((*found.numbers, *found.vocabularies)),
            "label delay": f"{found.schema.label_delay_days:g} days",
            "licence": "Apache-2.0",
            "git commit": environment.get("git_commit") or "unknown",
        },
        intended_uses=[
            "Choosing which of a day's transactions an investigator looks at first, with reasons.",
            "Comparing with, or adding to, rules that are in place.",
        ],
        out_of_scope=[
            "Refusing a payment or blocking a person without a human decision.",
            "Sources other than those of the training data: monitor drift and measure first.",
            "Kinds of fraud that the training weeks do not hold.",
        ],
        factors=["kind of fraud", "amount", "length of the card's history", "delay of the labels", "day"],
        training_data={"source": ", ".join(settings.data), "split unit": split["unit"], "rows": split["rows"]},
        split={"method": split["method"], "parts": split["fractions"], "overlap": split["overlap"]},
        decision=files.read_json(folder.decision),
        metrics=metrics.of_run(folder),
        ethical_considerations=[
            "False alarms cost persons time and dignity: compare their rate between groups (`group` in the schema).",
            "Identities of cards and terminals are not features; their histories are.",
        ],
        caveats=[
            "Fraud changes: update with investigators' verdicts, and keep the champion unless a challenger is better.",
            "Verdicts exist mostly for what was alerted: estimates from them are biased towards the model.",
        ],
        environment={
            "python": environment["python"],
            "packages": environment["packages"],
            "devices": ", ".join(device["name"] for device in environment["devices"]),
            "seed": environment["seed"],
        },
    )
