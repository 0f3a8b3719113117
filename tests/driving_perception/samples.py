"""What the contract test feeds this app with: a road to explain, and folders like and unlike training."""

import pathlib
import shutil

import numpy as np
from PIL import Image

from tests.driving_perception import roads

# Flags that make ``predict`` and ``monitor`` read the folders below.
READ_FLAGS = ()
# Flags for ``data --write``: as many scenes as ``usual`` takes, not all.
DATA_FLAGS = ("--scene-sequences", "60", "--scene-frames", "1")


def usual(normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copy 60 images of the app's own source into one folder, given what ``data --write`` wrote."""
    target = folder / "usual"
    target.mkdir()
    for path in sorted((normalised / "images").glob("*.jpg"))[:60]:
        shutil.copy(path, target / path.name)
    return target


def unusual(folder: pathlib.Path) -> pathlib.Path:
    """Write noise, which is no road."""
    target = folder / "unusual"
    target.mkdir()
    generator = np.random.default_rng(0)
    for number in range(60):
        Image.fromarray(generator.integers(0, 256, (64, 80, 3), np.uint8)).save(target / f"{number}.png")
    return target


def explain_input(usual: pathlib.Path) -> str:
    """Return a road to explain."""
    return str(min(usual.glob("*.jpg")))


def with_bad(_normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Write twelve labelled roads, and one whose box is empty."""
    boxes = {f"road_{number}": [("car", (10 + number, 10, 60 + number, 40))] for number in range(12)}
    return roads.voc(folder / "with_bad", {**boxes, "bad": [("car", (50, 10, 50, 40))]})
