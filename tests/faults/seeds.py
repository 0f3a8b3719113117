"""Small sources of every format that the apps read, made here: what hostile inputs are mutated from."""

import dataclasses
import functools
import gzip
import io
import pathlib
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image

ROWS = 12
WORDS = ["good", "bad", "film", "plot", "actor", "scene", "music", "slow", "great", "dull", "long", "short", "dark"]


@dataclasses.dataclass(frozen=True)
class Seed:
    """A source.

    Attributes:
        app: Who reads it.
        write: Writes it into a folder; returns what ``--data`` names.
        flags: More flags of ``data``.
    """

    app: str
    write: Callable[[pathlib.Path], pathlib.Path]
    flags: tuple[str, ...] = ()


def reviews() -> pd.DataFrame:
    """Return texts with labels, no two alike."""
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, 9)) + f" {row}" for row in range(ROWS)]
    return pd.DataFrame({"text": texts, "label": ["pos", "neg"] * (ROWS // 2)})


def payments() -> pd.DataFrame:
    """Return transactions, the last half of them of another day."""
    generator = np.random.default_rng(0)
    rows = 20 * ROWS
    times = pd.date_range("2024-01-01", periods=rows, freq="3h")
    return pd.DataFrame(
        {
            "transaction_id": range(rows),
            "time": times.astype(str),
            "card": generator.integers(1_000, 1_060, rows),
            "merchant": [f"m{each}" for each in generator.integers(0, 40, rows)],
            "amount": generator.gamma(2.0, 30.0, rows).round(2),
            "is_fraud": ([0] * 7 + [1]) * (rows // 8),
        }
    )


def table(frame: Callable[[], pd.DataFrame], name: str) -> Callable[[pathlib.Path], pathlib.Path]:
    """Return what writes a table under a name, whose suffix says how."""

    def write(folder: pathlib.Path) -> pathlib.Path:
        path, found = folder / name, frame()
        if name.endswith(".parquet"):
            found.to_parquet(path, index=False)
        elif name.endswith(".jsonl"):
            found.to_json(path, orient="records", lines=True)
        else:
            text = found.to_csv(index=False, sep="\t" if ".tsv" in name else ",").encode()
            path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


def texts(folder: pathlib.Path) -> pathlib.Path:
    """Write a folder of texts for each class."""
    for row, (text, label) in enumerate(reviews().itertuples(index=False)):
        (folder / "texts" / label).mkdir(parents=True, exist_ok=True)
        (folder / "texts" / label / f"{row}.txt").write_text(text)
    return folder / "texts"


def archive(folder: pathlib.Path, *, kind: str) -> pathlib.Path:
    """Write such a folder as an archive."""
    path = folder / f"texts.{kind}"
    named = [
        (f"{label}/{row}.txt", text.encode()) for row, (text, label) in enumerate(reviews().itertuples(index=False))
    ]
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in named:
                packed.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for name, content in named:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return path


def picture(seed: int, kind: str = "PNG", mode: str = "L") -> bytes:
    """Return an image that no other seed resembles."""
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    PIL.Image.fromarray(small).resize((48, 40), PIL.Image.Resampling.BICUBIC).convert(mode).save(stream, kind)
    return stream.getvalue()


def radiographs(folder: pathlib.Path, *, kind: str = "png") -> pathlib.Path:
    """Write a folder of images for each class, patients in their names."""
    for number in range(ROWS):
        label = "PNEUMONIA" if number % 2 else "NORMAL"
        path = folder / "images" / label / f"person{number}_{label.lower()}_1.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number, "PNG" if kind == "png" else "JPEG"))
    return folder / "images"


def radiographs_of_a_table(folder: pathlib.Path) -> pathlib.Path:
    """Write images and a table that names them."""
    (folder / "images").mkdir()
    rows = []
    for number in range(ROWS):
        (folder / "images" / f"{number}.png").write_bytes(picture(number))
        rows.append({"image": f"{number}.png", "patient": number, "label": ["normal", "ill"][number % 2]})
    pd.DataFrame(rows).to_csv(folder / "images" / "labels.csv", index=False)
    return folder / "images" / "labels.csv"


def medmnist(folder: pathlib.Path) -> pathlib.Path:
    """Write the arrays of MedMNIST."""
    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = generator.integers(0, 255, (ROWS, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(ROWS)[:, None] % 2
    np.savez_compressed(folder / "pneumoniamnist.npz", **arrays)
    return folder / "pneumoniamnist.npz"


def dicom(folder: pathlib.Path) -> pathlib.Path:
    """Write DICOM files in folders of classes."""
    import pydicom.dataset
    import pydicom.uid

    for number in range(ROWS):
        found = pydicom.dataset.Dataset()
        found.file_meta = pydicom.dataset.FileMetaDataset()
        found.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"1.2.3.{number + 1}")
        found.PatientID, found.Modality = f"p{number}", "DX"
        found.Rows, found.Columns, found.SamplesPerPixel = 40, 48, 1
        found.PhotometricInterpretation = "MONOCHROME2"
        found.BitsAllocated = found.BitsStored = 16
        found.HighBit, found.PixelRepresentation = 15, 0
        pixels = np.random.default_rng(number).integers(0, 60_000, (40, 48), dtype=np.uint16)
        found.PixelData = pixels.tobytes()
        path = folder / "images" / ["NORMAL", "PNEUMONIA"][number % 2] / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        found.save_as(path, enforce_file_format=True)
    return folder / "images"


def roads(folder: pathlib.Path, *, write_format: str) -> pathlib.Path:
    """Write road images with boxes in one of the formats, by our own writer."""
    from apps.driving_perception import writers
    from tests.driving_perception import loading
    from tests.driving_perception import roads as made

    boxes = {f"road_{number}": [("car", (10 + number, 10, 60 + number, 40))] for number in range(3 * ROWS)}
    collection = loading.load([str(made.voc(folder / "first", boxes))])
    parts = pd.DataFrame({"part": ["train", "train", "validation", "test"] * (3 * ROWS // 4)})
    writers.write(collection, parts, folder / "roads", write_format=write_format)
    return folder / "roads"


_TEXT = ("--text-column", "text", "--label-column", "label")
SEEDS = {
    "reviews.csv": Seed("sentiment", table(reviews, "reviews.csv"), _TEXT),
    "reviews.csv.gz": Seed("sentiment", table(reviews, "reviews.csv.gz"), _TEXT),
    "reviews.tsv": Seed("sentiment", table(reviews, "reviews.tsv")),
    "reviews.jsonl": Seed("sentiment", table(reviews, "reviews.jsonl")),
    "reviews.parquet": Seed("sentiment", table(reviews, "reviews.parquet")),
    "folder of texts": Seed("sentiment", texts),
    "zip of texts": Seed("sentiment", functools.partial(archive, kind="zip")),
    "tar of texts": Seed("sentiment", functools.partial(archive, kind="tar")),
    "tar.gz of texts": Seed("sentiment", functools.partial(archive, kind="tar.gz")),
    "payments.csv": Seed("fraud_detection", table(payments, "payments.csv")),
    "payments.parquet": Seed("fraud_detection", table(payments, "payments.parquet")),
    "payments.csv.gz": Seed("fraud_detection", table(payments, "payments.csv.gz")),
    "radiographs.png": Seed("medical_imaging", radiographs),
    "radiographs.jpeg": Seed("medical_imaging", functools.partial(radiographs, kind="jpeg")),
    "radiographs.csv": Seed("medical_imaging", radiographs_of_a_table),
    "medmnist.npz": Seed("medical_imaging", medmnist),
    "radiographs.dcm": Seed("medical_imaging", dicom),
    **{
        f"roads as {name}": Seed("driving_perception", functools.partial(roads, write_format=name))
        for name in ("coco", "table", "kitti", "voc", "yolo", "bdd100k")
    },
}
