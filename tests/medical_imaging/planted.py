"""Evaluations whose truth is known: scores drawn around labels, with planted errors, shortcuts and gaps."""

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from apps.medical_imaging import evaluation_inputs
from shared import decision
from shared.evaluation import thresholds
from shared.report import sections

BINARY = ("normal", "pneumonia")
THREE = ("normal", "bacterial", "viral")
FINDINGS = ("effusion", "cardiomegaly", "nodule")
DATA = sections.Data(source="planted", split="test", unit="patient", sha256="0" * 64)

Floats = npt.NDArray[np.float64]


def thumbnail(row: int) -> str:
    grey = np.random.default_rng(row).normal(110, 25, (96, 96)).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def attributes(number: int, positive: npt.NDArray[np.bool_], *, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed + 1000)
    mark = random.random(number) < np.where(positive, 0.75, 0.25)
    return pd.DataFrame(
        {
            "sex": random.choice(["F", "M"], number),
            "age": random.uniform(5, 90, number),
            "view": random.choice(["AP", "PA"], number),
            "site": random.choice(["A", "B", "C"], number, p=[0.6, 0.37, 0.03]),
            "subtype": np.where(positive, random.choice(["bacteria", "virus"], number), np.array(None)),
            "device_mark": mark,
        }
    )


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.float32]:
    return np.eye(classes, dtype=np.float32)[labels]


def rows_of(labels: npt.NDArray[np.floating[Any]], *, seed: int = 0, per_patient: int = 2) -> evaluation_inputs.Rows:
    number = len(labels)
    return evaluation_inputs.Rows(
        labels=labels,
        patients=np.array([f"p{row // per_patient}" for row in range(number)], object),
        names=np.array([f"image_{row}.png" for row in range(number)], object),
        lines=np.arange(1, number + 1),
        attributes=attributes(number, np.asarray(np.nan_to_num(labels)[:, -1] == 1), seed=seed),
        thumbnail=thumbnail,
    )


def binary_rows(number: int = 400, *, seed: int = 0) -> evaluation_inputs.Rows:
    labels = (np.random.default_rng(seed).random(number) < 0.4).astype(np.int64)
    return rows_of(one_hot(labels, 2), seed=seed)


def binary_logits(rows: evaluation_inputs.Rows, *, margin: float = 2.0, mark: float = 0.0, seed: int = 1) -> Floats:
    """Two logits whose difference is normal around -margin and +margin; ``mark`` is added where the device mark is."""
    positive = rows.labels[:, 1] == 1
    noise = np.random.default_rng(seed).normal(size=len(rows))
    shortcut = mark * rows.attributes["device_mark"].to_numpy(bool) if "device_mark" in rows.attributes else 0.0
    difference = np.where(positive, margin, -margin) + 1.2 * noise + shortcut
    return np.stack([-difference / 2, difference / 2], axis=1)


def rule(class_names: tuple[str, ...] = BINARY, *, threshold: float | None = 0.5, quantile: float = 0.5) -> Any:
    return decision.Decision(
        class_names=class_names,
        temperature=1.0,
        threshold=threshold,
        rule="equal_margin" if threshold is not None else "most probable class",
        alpha=0.1,
        quantile=quantile,
        fitted_on={"split": "validation"},
    )


def binary_run(
    rows: evaluation_inputs.Rows, *, mark: float = 0.0, margin: float = 2.0, full: bool = True
) -> evaluation_inputs.Predictions:
    held_out = binary_rows(200, seed=7)
    logits = binary_logits(held_out, margin=margin, seed=8)
    score = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    labels = held_out.labels.argmax(axis=1)
    frozen = [thresholds.select(name, labels, score) for name in ("sensitivity>=0.95", "specificity>=0.95")]
    return evaluation_inputs.Predictions(
        run="run",
        class_names=BINARY,
        logits=binary_logits(rows, mark=mark, margin=margin),
        decision=rule(threshold=thresholds.select("equal_margin", labels, score).value),
        operating_points=tuple(frozen),
        validation=evaluation_inputs.Validation(labels=held_out.labels, logits=logits, patients=held_out.patients)
        if full
        else None,
    )


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def baselines(rows: evaluation_inputs.Rows) -> dict[str, Floats]:
    share = np.nan_to_num(np.nanmean(rows.labels, axis=0))
    pixels = softmax(binary_logits(rows, margin=0.6, seed=3))
    return {"pixel_logistic": pixels, "majority": np.tile(share.astype(np.float64), (len(rows), 1))}
