"""What a user must know before relying on the model: the model card that travels inside the bundle."""

from apps.driving_perception import evaluate_run
from apps.driving_perception import run as loaded_run
from apps.driving_perception.readers import sources
from shared import files
from shared.report import metrics, model_card


def build(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; it says so when the run has not been evaluated."""
    folder, settings = run.folder, run.settings
    split = files.read_json(folder.split)
    environment = files.read_json(folder.environment)
    synthetic = sources.SCENES in settings.data
    return model_card.ModelCard(
        name="driving_perception",
        summary="Finds obstacles on the road: a box, a class and a score each. NOT A SAFETY COMPONENT."
        + (" Trained on rendered scenes: it knows nothing of real roads." if synthetic else ""),
        details={
            **evaluate_run.details(run),
            "licence": "Apache-2.0",
            "git commit": environment.get("git_commit") or "unknown",
        },
        intended_uses=[
            "Research, teaching, and auditing of data sets and detectors.",
            "Looking through recordings for scenes with obstacles; pre-labelling that people check.",
        ],
        out_of_scope=[
            "Steering, braking or warning in a vehicle.",
            "Cameras, countries, weather and light other than those of the training data: measure there first.",
            "Obstacles of classes that it does not know: it does not see them.",
        ],
        factors=["distance and size", "occlusion and truncation", "time of day", "weather", "camera"],
        training_data={"source": ", ".join(settings.data), "split unit": split["unit"], "rows": split["rows"]},
        split={"method": split["method"], "parts": split["fractions"], "overlap": split["overlap"]},
        decision=files.read_json(folder.decision),
        metrics=metrics.of_run(folder),
        ethical_considerations=[
            "People are found less surely than cars where training shows fewer of them; the report says how much.",
            "Road images show faces and number plates: whoever records them answers for that.",
        ],
        caveats=[
            "The threshold was chosen on validation images of the same sources; elsewhere it gives other false alarms.",
            "The decision for an image looks at a fixed trapezoid, which knows no bends and no speed.",
        ],
        environment={
            "python": environment["python"],
            "packages": environment["packages"],
            "devices": ", ".join(device["name"] for device in environment["devices"]),
            "seed": environment["seed"],
        },
    )
