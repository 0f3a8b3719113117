"""Every setting of the medical app, the presets ``smoke``, ``quick`` and ``default``, and what ``tune`` tries."""

import dataclasses
from typing import Any, Self

from shared import config

LITE = "efficientnet-lite0"
BACKBONES = (LITE, "densenet121", "resnet50v2", "efficientnetv2-b0", "efficientnetv2-s", "convnext-tiny")

DATA_FIELDS = (
    "data",
    "data_format",
    "image_column",
    "label_columns",
    "patient_column",
    "uncertain",
    "skip_bad",
    "follow_links",
    "allow_outside",
    "decimal",
    "grey_bits",
    "split_file",
    "phantom_patients",
    "phantom_confounder",
    "cache_dir",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(config.Config):
    """How to read a source, split it by patient, train on it and decide."""

    data: tuple[str, ...] = config.setting(
        ("chest-phantoms",), "built-in source, public set by name, or path; may be given several times"
    )
    data_format: str = config.setting(
        "auto",
        "how to read the source",
        choices=("auto", "chest-phantoms", "folders", "table", "nih", "chexpert", "medmnist", "dicom"),
    )
    image_column: str | None = config.setting(None, "column of the image paths (default: recognised by name)")
    label_columns: tuple[str, ...] = config.setting((), "columns of the labels (default: recognised by name)")
    patient_column: str | None = config.setting(None, "column of the patient ids (default: recognised by name)")
    uncertain: str = config.setting(
        "ignore", "what an uncertain label (CheXpert: -1) counts as", choices=("zeros", "ones", "ignore")
    )
    skip_bad: bool = config.setting(False, "write bad images to a quarantine file and go on")
    follow_links: bool = config.setting(False, "follow links that lead out of a source's folder")
    allow_outside: bool = config.setting(False, "read images that a source's labels name outside of its folder")
    decimal: str = config.setting(
        "auto", "mark before the fraction in numbers of text", choices=("auto", "point", "comma")
    )
    grey_bits: int | None = config.setting(
        None, "bits in use of 16-bit images (none: as many as the values of the source need)", minimum=8, maximum=16
    )
    phantom_patients: int = config.setting(700, "patients of chest-phantoms", unit="patients", minimum=20)
    phantom_confounder: float = config.setting(
        0.0, "how much a device mark of chest-phantoms gives the label away", minimum=0.0, maximum=1.0
    )
    cache_dir: str | None = config.setting(
        None, "folder that keeps decoded images between commands; none: decode in every command"
    )

    validation_fraction: float = config.setting(0.12, "share of validation", minimum=0.01, maximum=0.5)
    test_fraction: float = config.setting(0.15, "share of the test part", minimum=0.01, maximum=0.5)
    near_duplicate_distance: int = config.setting(
        6, "bits of the perceptual hash up to which two images stay together", unit="bits", minimum=0, maximum=16
    )
    split_file: str | None = config.setting(None, "CSV file of image or patient and part; none: split by patient")

    model: str = config.setting("transfer", "network", choices=("transfer", "cnn"))
    backbone: str = config.setting(
        LITE, f"what transfer fine-tunes: {', '.join(BACKBONES)}, or {config.PRESET} and a preset or folder of KerasHub"
    )
    image_size: int = config.setting(192, "side of the square that images are resized to", unit="pixels", minimum=16)
    channels: int = config.setting(1, "1 reads images as grey, 3 as colour", choices=(1, 3))
    pretrained: bool = config.setting(True, "start the transfer network from ImageNet weights")
    frozen_epochs: int = config.setting(1, "epochs in which only the head of the transfer network learns", minimum=0)
    networks: int = config.setting(2, "networks of different seeds whose logits are averaged", minimum=1, maximum=9)
    cnn_filters: tuple[int, ...] = config.setting((32, 64, 128, 256), "filters of each residual stage", minimum=1)
    dropout_rate: float = config.setting(0.2, "share of features dropped before the logits", minimum=0, maximum=0.95)

    epochs: int = config.setting(7, "most passes over the training part", minimum=1)
    patience: int = config.setting(0, "epochs without a better validation value before the end; 0: never", minimum=0)
    batch_size: int = config.setting(32, "images per step", unit="images", minimum=1)
    optimizer: str = config.setting("adamw", "optimiser", choices=("sgd", "momentum", "adam", "adamw"))
    learning_rate: float = config.setting(5e-4, "peak step size", minimum=1e-7)
    schedule: str = config.setting("cosine", "course of the step size", choices=("constant", "cosine", "one_cycle"))
    weight_decay: float = config.setting(0.01, "decoupled weight decay (adamw)", minimum=0.0)
    ema_momentum: float | None = config.setting(
        0.99, "moving average of the weights; none: the weights themselves", minimum=0.5, maximum=0.99999
    )
    loss: str = config.setting("cross_entropy", "training loss", choices=("cross_entropy", "focal"))
    class_weights: str = config.setting(
        "none", "make rare classes count more, or shift their logits", choices=("none", "balanced", "logit_adjustment")
    )
    label_smoothing: float = config.setting(0.05, "share of the target spread over all classes", minimum=0, maximum=0.5)

    flip: bool = config.setting(False, "mirror images left to right; only where anatomy allows it")
    rotation_degrees: float = config.setting(10.0, "largest rotation", unit="degrees", minimum=0, maximum=180)
    shift_fraction: float = config.setting(0.06, "largest shift, of the side", minimum=0, maximum=0.5)
    scale_fraction: float = config.setting(0.12, "largest change of size", minimum=0, maximum=0.5)
    exposure: float = config.setting(0.4, "largest change of gamma, contrast and brightness", minimum=0, maximum=1)
    noise: float = config.setting(0.03, "largest noise, of the grey range", minimum=0, maximum=0.5)
    mixup: float = config.setting(0.0, "parameter of mixup's beta distribution; 0: none", minimum=0, maximum=2)
    test_time_views: int = config.setting(
        1, "shifted and scaled views averaged in every prediction", minimum=1, maximum=9
    )

    threshold_rule: str = config.setting(
        "equal_margin",
        "how the threshold of two classes is chosen on validation",
        choices=("equal_margin", "max_balanced_accuracy", "max_accuracy", "argmax"),
    )
    alpha: float = config.setting(
        0.05, "accepted share of prediction sets that miss the true class", minimum=0.001, maximum=0.5
    )
    folds: int = config.setting(0, "parts of a cross-validation by patient before the final training; 0: none")
    resamples: int = config.setting(2000, "bootstrap resamples behind every interval", minimum=100)

    def __post_init__(self) -> None:
        """Check what depends on more than one field."""
        super().__post_init__()
        rest = self.validation_fraction + self.test_fraction
        config.check(rest < 0.9, "validation_fraction + test_fraction", "less than 0.9", rest)
        config.check(self.folds == 0 or self.folds >= 2, "folds", "0, or at least 2", self.folds)
        config.check(self.frozen_epochs <= self.epochs, "frozen_epochs", "at most epochs", self.frozen_epochs)
        named = self.backbone in BACKBONES or self.is_preset
        config.check(named, "backbone", f"one of {', '.join(BACKBONES)}, or {config.PRESET}<preset>", self.backbone)
        if self.model == "cnn":
            smallest = 2 ** len(self.cnn_filters)
            config.check(self.image_size >= smallest, "image_size", f"at least {smallest}", self.image_size)

    @property
    def is_preset(self) -> bool:
        """Whether the backbone is a preset of KerasHub."""
        return config.is_preset(self.backbone)

    @property
    def fractions(self) -> tuple[float, float, float]:
        """Share of train, validation and test."""
        held_out = self.validation_fraction + self.test_fraction
        return 1 - held_out, self.validation_fraction, self.test_fraction

    @classmethod
    def smoke(cls) -> Self:
        """Seconds: a tiny network on a few dozen patients; for tests."""
        return cls(
            model="cnn",
            phantom_patients=60,
            image_size=32,
            cnn_filters=(4, 8),
            networks=1,
            frozen_epochs=0,
            epochs=1,
            resamples=200,
        )

    @classmethod
    def quick(cls) -> Self:
        """Four minutes on two cores with evaluate and export: one transfer network on small images."""
        return cls(networks=1, image_size=128, epochs=8, learning_rate=1.5e-3, ema_momentum=0.9)

    @classmethod
    def default(cls) -> Self:
        """Fine-tune EfficientNet-Lite0 twice and average: what two cores do in twenty minutes at most."""
        return cls()


def suggest(trial: Any, _settings: Config) -> dict[str, Any]:
    """Return what an ``optuna.Trial`` changes to raise the validation part's AUROC."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "dropout_rate": trial.suggest_float("dropout_rate", 0.0, 0.6),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "exposure": trial.suggest_float("exposure", 0.0, 0.6),
    }
