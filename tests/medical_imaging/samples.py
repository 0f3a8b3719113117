"""What the contract test feeds this app with: an image to explain, and folders like and unlike training."""

import pathlib
import shutil

import numpy as np
from PIL import Image

# Flags that make ``predict`` and ``monitor`` read the folders below.
READ_FLAGS = ()


def usual(normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copy 150 images of the app's own source into one folder, given what ``data --write`` wrote."""
    target = folder / "usual"
    target.mkdir()
    for path in sorted(normalised.glob("*/*.png"))[::3][:150]:
        shutil.copy(path, target / f"{path.parent.name}-{path.name}")
    return target


def unusual(folder: pathlib.Path) -> pathlib.Path:
    """Write noise, which is no radiograph."""
    target = folder / "unusual"
    target.mkdir()
    generator = np.random.default_rng(0)
    for number in range(150):
        Image.fromarray(generator.integers(0, 256, (64, 80), np.uint8)).save(target / f"{number}.png")
    return target


def explain_input(usual: pathlib.Path) -> str:
    """Return an image to explain."""
    return str(min(usual.glob("*.png")))


def with_bad(normalised: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Copy 60 images of each class of the app's own source, and put beside them what is no image."""
    target = folder / "with_bad"
    for path in (path for each in sorted(normalised.glob("*/")) for path in sorted(each.glob("*.png"))[:60]):
        (target / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / path.parent.name / path.name)
    (target / path.parent.name / "bad.png").write_bytes(b"no image")
    return target
