"""Small pictures as files, for the tests of reading."""

import io
import pathlib

import numpy as np
from PIL import Image


def encoded(seed, *, size=(40, 48), kind="PNG", mode="L") -> bytes:
    """A smooth picture that no other seed resembles."""
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def place(folder, names, *, first_seed=0):
    for seed, name in enumerate(names, start=first_seed):
        put(folder / name, encoded(seed, kind="PNG" if name.endswith("png") else "JPEG"))
    return str(folder)


def renamed(folder, target):
    """Copy a folder so that its files sort the other way round; patients and classes stay."""
    for number, path in enumerate(sorted(pathlib.Path(folder).rglob("*.jpeg"))):
        patient, kind, _ = path.stem.split("_")
        put(target / path.parent.name / f"{patient}_{kind}_{1000 - number}.jpeg", path.read_bytes())
    return str(target)


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))
