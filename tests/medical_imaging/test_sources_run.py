"""Whole runs on sources other than the default: several classes, several findings, tables, DICOM, synthetic images."""

import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from apps.medical_imaging.simulator import phantoms as simulator
from shared import files
from tests import helpers

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
APP = "apps.medical_imaging"


@pytest.fixture(scope="module")
def drawn() -> simulator.Phantoms:
    return simulator.generate(simulator.Settings(patients=90, image_size=48, seed=3))


def findings(drawn: simulator.Phantoms) -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.stack([drawn.labels, *(generator.random((2, len(drawn.labels))) < 0.4)], axis=1).astype(np.uint8)


def write_npz(path: pathlib.Path, images: np.ndarray, labels: np.ndarray) -> pathlib.Path:
    fifth = len(images) // 5
    parts = {"train": slice(0, 3 * fifth), "val": slice(3 * fifth, 4 * fifth), "test": slice(4 * fifth, None)}
    content: dict[str, Any] = {f"{part}_images": images[rows] for part, rows in parts.items()}
    content |= {f"{part}_labels": labels[rows] for part, rows in parts.items()}
    np.savez(path, **content)
    return path


def three_classes(drawn: simulator.Phantoms, folder: pathlib.Path) -> pathlib.Path:
    more = np.random.default_rng(0).random(len(drawn.labels)) < 0.5
    return write_npz(folder / "three.npz", drawn.images, (drawn.labels + drawn.labels * more)[:, np.newaxis])


def several_findings(drawn: simulator.Phantoms, folder: pathlib.Path) -> pathlib.Path:
    return write_npz(folder / "chest.npz", drawn.images, findings(drawn))


def nih(drawn: simulator.Phantoms, folder: pathlib.Path) -> pathlib.Path:
    (folder / "images").mkdir()
    rows = []
    for number, (image, found) in enumerate(zip(drawn.images, findings(drawn), strict=True)):
        name = f"{number // 2:08d}_{number % 2:03d}.png"
        Image.fromarray(image).save(folder / "images" / name)
        names = [title for title, present in zip(("Effusion", "Mass", "Edema"), found, strict=True) if present]
        rows.append(
            {
                "Image Index": name,
                "Finding Labels": "|".join(names) or "No Finding",
                "Patient ID": number // 2,
                "Patient Age": 40 + number % 30,
                "Patient Gender": "MF"[number % 2],
                "View Position": ("PA", "AP")[number % 2],
            }
        )
    pd.DataFrame(rows).to_csv(folder / "Data_Entry_2017_v2020.csv", index=False)
    return folder


def dicom(drawn: simulator.Phantoms, folder: pathlib.Path) -> pathlib.Path:
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = pydicom.uid.UID("1.2.840.10008.5.1.4.1.1.1")
        meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"1.2.3.{number}")
        content = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
        content.SOPClassUID, content.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        content.PatientID, content.PatientSex, content.PatientAge = f"P{number // 2}", "MF"[number % 2], "045Y"
        content.PhotometricInterpretation, content.SamplesPerPixel = "MONOCHROME1", 1
        content.Rows, content.Columns = image.shape
        content.BitsAllocated, content.BitsStored, content.HighBit, content.PixelRepresentation = 16, 12, 11, 0
        content.PixelData = (4095 - image.astype(np.uint16) * 16).tobytes()
        target = folder / simulator.CLASS_NAMES[label]
        target.mkdir(exist_ok=True)
        content.save_as(target / f"{number}.dcm", enforce_file_format=True)
    return folder


@pytest.mark.parametrize("source", [three_classes, several_findings, nih, dicom])
def test_every_verb_works_on_other_sources(
    source: Callable[[simulator.Phantoms, pathlib.Path], pathlib.Path],
    drawn: simulator.Phantoms,
    tmp_path: pathlib.Path,
    command_line: helpers.CommandLine,
) -> None:
    (tmp_path / "source").mkdir()
    data, run = source(drawn, tmp_path / "source"), tmp_path / "run"
    command_line.run(APP, "train", "--preset", "smoke", "--data", data, "--run-dir", run)
    command_line.run(APP, "evaluate", "--run-dir", run)
    metrics = files.read_json(run / "evaluation" / "metrics.json")
    assert all({"value", "low", "high"} <= interval.keys() for interval in metrics["metrics"].values())
    bundle = command_line.run(APP, "export", "--run-dir", run, "--output-dir", tmp_path / "bundles", "--json").json
    outputs = [tmp_path / "run.csv", tmp_path / "bundle.csv"]
    for flags, output in zip((("--run-dir", run), ("--model-dir", bundle["bundle"])), outputs, strict=True):
        command_line.run(APP, "predict", *flags, data, "--output", output)
    first, second = map(pd.read_csv, outputs)
    assert len(first) == len(second) == len(drawn.labels)
    assert first["decision"].tolist() == second["decision"].tolist()


def test_the_report_says_what_synthetic_images_bring(
    tmp_path: pathlib.Path, command_line: helpers.CommandLine, shared_runs: pathlib.Path
) -> None:
    run, synthetic = tmp_path / "run", tmp_path / "synthetic"
    shutil.copytree(helpers.smoke_run("medical_imaging", shared_runs).path, run)
    flags = ("--run-dir", run, "--output-dir", synthetic, "--image-size", 32, "--epochs", 1, "--images", 12, "--json")
    said = command_line.run(APP, "augment", *flags).json
    assert said["memorisation"]["copies"]
    assert len(list(synthetic.rglob("*.png"))) == 12
    command_line.run(APP, "evaluate", "--run-dir", run)
    assert "Synthetic images" in (run / "evaluation" / "report.html").read_text("utf-8")
