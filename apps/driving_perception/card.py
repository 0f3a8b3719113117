"""What a user must know before relying on the model: the model card that travels inside the bundle."""

from apps.driving_perception import evaluate_run
from apps.driving_perception import run as loaded_run
from apps.driving_perception.readers import sources
from shared.report import model_card


def build(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; it says so when the run has not been evaluated."""
    settings = run.settings
    synthetic = sources.SCENES in settings.data
    said = model_card.ModelCard(
        name="driving_perception",
        summary="Finds obstacles on the road: a box, a class and a score each. NOT A SAFETY COMPONENT."
        + (" Trained on rendered scenes: it knows nothing of real roads." if synthetic else ""),
        details=evaluate_run.details(run),
        intended_uses=[
            "Research, teaching, and auditing of data sets and detectors.",
            "Looking through recordings for scenes with obstacles; pre-labelling that people check.",
        ],
        out_of_scope=[
            "Steering, braking or warning in a vehicle.",
            "Cameras, countries, weather and light other than those of the training data: evaluate there first.",
            "Obstacles of classes that it does not know: it does not see them.",
        ],
        factors=["distance and size", "occlusion and truncation", "time of day", "weather", "camera"],
        ethical_considerations=[
            "People are found less surely than cars where training shows fewer of them; the report says how much.",
            "Road images show faces and number plates: whoever records them is responsible for that.",
        ],
        caveats=[
            "The threshold was chosen on validation images of the same sources; elsewhere it gives other false alarms.",
            "The decision for an image looks at a fixed trapezoid, which knows no bends and no speed.",
        ],
    )
    return model_card.of_run(said, run.folder, settings.data)
