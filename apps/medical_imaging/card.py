"""What a user must know before relying on the model: the model card that travels inside the bundle."""

from apps.medical_imaging import config
from apps.medical_imaging import run as loaded_run
from shared import files
from shared.report import metrics, model_card


def build(run: loaded_run.Run) -> model_card.ModelCard:
    """Return the card of a finished run; it says so when the run has not been evaluated."""
    folder, settings = run.folder, run.settings
    split = files.read_json(folder.split)
    environment = files.read_json(folder.environment)
    synthetic = settings.data == ("chest-phantoms",)
    return model_card.ModelCard(
        name="medical_imaging",
        summary="Scores a chest radiograph with calibrated probabilities, and abstains. NOT A MEDICAL DEVICE."
        + (" Trained on simulated images: it knows nothing of patients." if synthetic else ""),
        details={
            "network": settings.backbone if settings.model == "transfer" else "residual CNN",
            "networks averaged": settings.networks,
            "parameters": f"{run.model.count_params():,}",
            "input": f"{settings.image_size} x {settings.image_size} pixels, {settings.channels} channel(s)",
            "training": _training(settings),
            "licence": "Apache-2.0",
            "git commit": environment.get("git_commit") or "unknown",
        },
        intended_uses=[
            "Research, teaching, and auditing of data sets and methods.",
            "Sorting images for a radiologist's reading order in a study that was approved for it.",
        ],
        out_of_scope=[
            "Diagnosis, triage or any decision about a patient.",
            "Hospitals, devices, ages and views other than those of the training data: measure there first.",
            "Images that are not frontal chest radiographs: the model answers anyway.",
        ],
        factors=["sex", "age", "view", "site", "device marks", "exposure"],
        training_data={"source": ", ".join(settings.data), "split unit": split["unit"], "rows": split["rows"]},
        split={"method": split["method"], "parts": split["fractions"], "overlap": split["overlap"]},
        decision=files.read_json(folder.decision),
        metrics=metrics.of_run(folder),
        ethical_considerations=[
            "Labels of public sets are mined from reports or read by one person; some are wrong.",
            "A model may read who or where a patient is from an image; the report compares subgroups.",
        ],
        caveats=[
            "Probabilities are calibrated on validation images of the same source; elsewhere they may be too sure.",
            "A heat map shows where the score comes from, not that the reason is a medical one.",
        ],
        environment={
            "python": environment["python"],
            "packages": environment["packages"],
            "devices": ", ".join(device["name"] for device in environment["devices"]),
            "seed": environment["seed"],
        },
    )


def _training(settings: config.Config) -> str:
    if settings.model != "transfer" or not settings.pretrained:
        return "from scratch"
    if settings.backbone == config.LITE:
        return "fine-tuned from ImageNet weights (Apache-2.0)"
    return f"fine-tuned from the published weights of {settings.backbone}, under their publisher's licence"
