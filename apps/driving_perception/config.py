"""Every setting of the driving app, the presets ``smoke``, ``quick`` and ``default``, and what ``tune`` tries."""

import dataclasses
from typing import Any, Self

from shared import config

LITE, RESIDUAL = "efficientnet-lite0", "residual"
# Whatever the number of images: fewer passes do not settle, more learn the images by heart.
LEAST_EPOCHS, MOST_EPOCHS = 10, 40
FORMATS = ("auto", "road-scenes", "kitti", "voc", "coco", "yolo", "bdd100k", "table")

DATA_FIELDS = (
    "data",
    "data_format",
    "class_file",
    "single_class",
    "skip_bad",
    "follow_links",
    "allow_outside",
    "decimal",
    "split_file",
    "scene_sequences",
    "scene_frames",
    "write_format",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(config.Config):
    """How to read a source, split it by sequence, train a detector on it and decide."""

    data: tuple[str, ...] = config.setting(
        ("road-scenes",), "built-in source or path; given several times, their images are joined"
    )
    data_format: str = config.setting("auto", "how to read the source", choices=FORMATS)
    class_file: str | None = config.setting(
        None, "JSON or CSV file from the source's class names to ours (default: the usual road data sets' names)"
    )
    single_class: str = config.setting("car", "what boxes are of in a table without a class column")
    skip_bad: bool = config.setting(False, "write bad boxes and images to a quarantine file and go on")
    follow_links: bool = config.setting(False, "follow links that lead out of a source's folder")
    allow_outside: bool = config.setting(False, "read images that a source's labels name outside of its folder")
    decimal: str = config.setting(
        "auto", "mark before the fraction in numbers of text", choices=("auto", "point", "comma")
    )
    split_file: str | None = config.setting(None, "CSV file of image and part; none: split by sequence")
    scene_sequences: int = config.setting(1000, "sequences of road-scenes", unit="sequences", minimum=6)
    scene_frames: int = config.setting(2, "frames of each sequence of road-scenes", unit="frames", minimum=1)
    write_format: str = config.setting("coco", "what data --write writes", choices=FORMATS[2:])

    validation_fraction: float = config.setting(0.12, "share of validation", minimum=0.01, maximum=0.5)
    test_fraction: float = config.setting(0.18, "share of the test part", minimum=0.01, maximum=0.5)
    block_frames: int = config.setting(
        10, "neighbouring frames that stay together where no sequence is known", unit="frames", minimum=1
    )
    near_duplicate_distance: int = config.setting(
        6, "bits of the perceptual hash up to which two images stay together", unit="bits", minimum=0, maximum=16
    )

    backbone: str = config.setting(
        LITE, f"what sees the image: {LITE}, {RESIDUAL}, or {config.PRESET} and a preset or folder of KerasHub"
    )
    pretrained: bool = config.setting(True, "start the backbone from published weights, where it has any")
    frozen_stages: int = config.setting(4, "first stages of the pretrained backbone that stay as they are", minimum=0)
    drop_connect_rate: float = config.setting(0.1, "share of blocks left out in training", minimum=0, maximum=0.9)
    cnn_filters: tuple[int, ...] = config.setting(
        (24, 48, 96, 160), "filters of the residual backbone from 1/4 to 1/32 of the size", minimum=1
    )
    pyramid_channels: int = config.setting(64, "channels of the pyramid and the head", minimum=4)
    head_depth: int = config.setting(2, "convolutions of each branch of the head", minimum=1, maximum=8)
    image_size: int = config.setting(
        416, "side of the square that has as many pixels as an image is brought to", unit="pixels", minimum=64
    )

    frozen_epochs: int = config.setting(1, "epochs in which only pyramid and head learn", minimum=0)
    pictures: int = config.setting(
        20000, "training pictures shown in all, where epochs are not said", unit="pictures", minimum=1
    )
    epochs: int | None = config.setting(
        None, "passes over the training part; none: as many as pictures says, 10 to 40", minimum=1
    )
    patience: int = config.setting(0, "epochs without a better validation value before the end; 0: never", minimum=0)
    batch_size: int = config.setting(8, "images per step", unit="images", minimum=1)
    optimizer: str = config.setting("adamw", "optimiser", choices=("sgd", "momentum", "adam", "adamw"))
    learning_rate: float = config.setting(1.5e-3, "peak step size", minimum=1e-7)
    schedule: str = config.setting("cosine", "course of the step size", choices=("constant", "cosine", "one_cycle"))
    weight_decay: float = config.setting(0.01, "decoupled weight decay (adamw)", minimum=0.0)
    ema_momentum: float | None = config.setting(
        0.99, "moving average of the weights; none: the weights themselves", minimum=0.5, maximum=0.99999
    )
    box_weight: float = config.setting(2.0, "weight of the boxes' loss against the classes'", minimum=0.0)
    assigned_places: int = config.setting(10, "most places that learn one object", minimum=1)
    most_boxes: int = config.setting(64, "boxes of one training picture, largest first", minimum=1)

    flip: bool = config.setting(True, "mirror images left to right")
    mosaic: float = config.setting(0.5, "share of training pictures made of four", minimum=0, maximum=1)
    zoom_out: float = config.setting(0.6, "smallest scale of a training picture", minimum=0.1, maximum=1)
    zoom_in: float = config.setting(1.7, "largest scale of a training picture", minimum=1, maximum=4)
    multi_scale: float = config.setting(
        0.0, "change of the training canvas from step to step, of its side", minimum=0, maximum=0.5
    )
    photometric: float = config.setting(0.4, "largest change of contrast, brightness and colour", minimum=0, maximum=1)

    most_detections: int = config.setting(100, "boxes predicted for one image", minimum=1, maximum=1000)
    suppression_overlap: float = config.setting(
        0.5, "intersection over union from which the weaker of two boxes of a class goes", minimum=0.1, maximum=0.95
    )
    threshold_rule: str = config.setting(
        "max_f1", "how the score threshold is chosen on validation", choices=("max_f1", "fppi")
    )
    fppi_budget: float = config.setting(
        0.1, "false alarms per image that the rule fppi accepts", unit="false alarms per image", minimum=0.001
    )
    way_bottom: float = config.setting(
        0.6, "width of the own way at the lower edge of the picture, of its width", minimum=0.05, maximum=1
    )
    way_top: float = config.setting(0.12, "width of the own way at its far end", minimum=0.01, maximum=1)
    way_horizon: float = config.setting(
        0.52, "where the own way ends, from the upper edge, of the picture's height", minimum=0, maximum=0.95
    )
    way_height: float = config.setting(
        0.1, "height from which a box in the own way is near, of the picture's", minimum=0, maximum=1
    )
    resamples: int = config.setting(1000, "bootstrap resamples behind every interval", minimum=100)

    def __post_init__(self) -> None:
        """Check what depends on more than one field."""
        super().__post_init__()
        named = self.backbone in (LITE, RESIDUAL) or self.is_preset
        config.check(named, "backbone", f"{LITE}, {RESIDUAL} or {config.PRESET}<preset>", self.backbone)
        rest = self.validation_fraction + self.test_fraction
        config.check(rest < 0.9, "validation_fraction + test_fraction", "less than 0.9", rest)
        most = LEAST_EPOCHS if self.epochs is None else self.epochs
        config.check(self.frozen_epochs <= most, "frozen_epochs", f"at most {most}", self.frozen_epochs)
        config.check(len(self.cnn_filters) >= 4, "cnn_filters", "at least 4 numbers", self.cnn_filters)

    def epochs_for(self, images: int) -> int:
        """Return how many passes over ``images`` training images are made."""
        wanted = round(self.pictures / images)
        return min(max(wanted, LEAST_EPOCHS), MOST_EPOCHS) if self.epochs is None else self.epochs

    @property
    def fine_tunes(self) -> bool:
        """Whether the backbone starts from published weights."""
        return self.pretrained and self.backbone != RESIDUAL

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
        """Seconds: a tiny network on a few sequences; for tests."""
        return cls(
            scene_sequences=48,
            scene_frames=1,
            validation_fraction=0.3,
            test_fraction=0.3,
            backbone=RESIDUAL,
            cnn_filters=(4, 8, 8, 8),
            pyramid_channels=8,
            head_depth=1,
            image_size=96,
            frozen_epochs=0,
            epochs=1,
            resamples=100,
        )

    @classmethod
    def quick(cls) -> Self:
        """Some five minutes on two cores with evaluate and export: a quarter of the scenes, on smaller pictures."""
        return cls(
            scene_sequences=160,
            image_size=256,
            pictures=2200,
            learning_rate=2e-3,
            ema_momentum=0.97,
            mosaic=0.2,
            resamples=300,
        )

    @classmethod
    def default(cls) -> Self:
        """Fine-tune EfficientNet-Lite0 under a detection head for as long as is worth it on two cores."""
        return cls()


def suggest(trial: Any, _settings: Config) -> dict[str, Any]:
    """Return what an ``optuna.Trial`` changes to raise the validation part's average precision."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 5e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "mosaic": trial.suggest_float("mosaic", 0.0, 0.8),
        "photometric": trial.suggest_float("photometric", 0.0, 0.6),
        "box_weight": trial.suggest_float("box_weight", 1.0, 4.0),
    }
