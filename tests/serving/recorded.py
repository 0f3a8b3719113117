"""What bundles of four kinds say of themselves, and their answers: recorded, or made up in their form."""

import base64
import math
from typing import Any

import cv2
import numpy as np

_BYTES = {"image_bytes": {"dtype": "string", "shape": [-1]}}
_WORDS = {"great": 1.4, "wonderful": 1.1, "dull": -1.6, "terrible": -2.1, "slow": -0.7, "but": -0.2}
REASONS = ["amount", "frequency", "counterparty", "time of day"]


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def radiograph() -> np.ndarray:
    """A soft grey picture with two darker lungs, for the eye."""
    rows, columns = np.mgrid[0:240, 0:200].astype(np.float32)
    lungs = sum(np.exp(-(((columns - x) / 34) ** 2) - ((rows - 115) / 75) ** 2) for x in (62, 138))
    grey: np.ndarray = np.clip(190 - 130 * lungs + 12 * np.sin(rows / 7), 0, 255).astype(np.uint8)
    return grey


def road() -> np.ndarray:
    """A road with two vehicles, at the places that ``answer`` names."""
    image = np.full((270, 480, 3), (205, 190, 170), np.uint8)
    image[140:] = (92, 92, 96)
    cv2.fillPoly(image, [np.array([[238, 140], [242, 140], [262, 270], [218, 270]])], (220, 220, 220))
    cv2.rectangle(image, (200, 130), (300, 210), (60, 60, 160), -1)
    cv2.rectangle(image, (40, 120), (66, 180), (70, 120, 60), -1)
    return image


def _b64(image: np.ndarray) -> dict[str, str]:
    return {"b64": base64.b64encode(png(image)).decode()}


def _model(name: str, inputs: Any, outputs: Any, example: Any, **more: Any) -> dict[str, Any]:
    plain = {"version": 3, "versions": [3], "engine": "onnx", "signatures": ["serving_default"], "drift": True}
    return {"name": name, **plain, "inputs": inputs, "outputs": outputs, "decision": {}, "display": {},
            "example": example, **more}  # fmt: skip


def _display(title: str, kind: str, classes: list[str], threshold: float | None, **more: Any) -> dict[str, Any]:
    return {
        "title": title,
        "input": kind,
        "threshold": threshold,
        "threshold_rule": "max_balanced_accuracy",
        "class_names": classes,
        "reason_names": [],
        "headline": {"metric": "auroc", "value": 0.913, "low": 0.887, "high": 0.936, "n": 412},
        "not_for": "Diagnosis, triage or any decision about a patient.",
        "synthetic": True,
        **more,
    }


_CLASSIFIER = {
    "scores": {"dtype": "float32", "shape": [-1, 2]},
    "labels": {"dtype": "string", "shape": [-1]},
    "decision": {"dtype": "string", "shape": [-1]},
}
_HISTORY = [f"customer_{what}_{days}d" for what in ("count", "mean_amount") for days in (1, 7, 30)]
_COLUMNS = {
    "amount": {"dtype": "float32", "shape": [-1]},
    "time": {"dtype": "float64", "shape": [-1]},
    "channel": {"dtype": "string", "shape": [-1]},
    **{name: {"dtype": "float32", "shape": [-1]} for name in _HISTORY},
    "sequence": {"dtype": "float32", "shape": [-1, 2, 3]},
}
ROW = {"amount": 91.3, "time": 1_700_000_000, "channel": "online", **dict.fromkeys(_HISTORY, 2.5)}
ROW["sequence"] = [[12.5, 3.0, 1.0], [80.0, 0.5, 1.0]]

MODELS = [
    _model(
        "chest", _BYTES, {**_CLASSIFIER, "valid": {"dtype": "bool", "shape": [-1]}},
        {"image_bytes": _b64(radiograph())},
        versions=[2, 3], signatures=["explain", "serving_default"], decision={"alpha": 0.05},
        display=_display("Chest X-rays", "image", ["normal", "opacity"], 0.512),
    ),
    _model(
        "findings", _BYTES, _CLASSIFIER, {"image_bytes": _b64(radiograph())}, drift=False,
        decision={"class_names": ["Effusion", "Edema", "Mass"], "thresholds": [0.3, 0.5, 0.08], "rule": "youden"},
    ),
    _model(
        "road", _BYTES, {"boxes": {"dtype": "float32", "shape": [-1, 100, 4]}}, {"image_bytes": _b64(road())},
        display=_display("Road obstacles", "image", ["car", "person"], 0.3, headline=None, synthetic=False,
                         not_for="Steering a vehicle, or warning anyone in one."),
    ),
    _model(
        "sentiment", {"text": {"dtype": "string", "shape": [-1]}}, _CLASSIFIER, {"text": "A wonderful film."},
        signatures=["explain", "serving_default"],
        decision={"class_names": ["negative", "positive"], "threshold": None, "rule": "most probable class",
                  "alpha": 0.1},
    ),
    _model(
        "fraud", _COLUMNS, {"score": {"dtype": "float64", "shape": [-1]}}, {**ROW, "amount": 91.30000305175781},
        display=_display("Card transactions", "columns", ["genuine", "fraud"], 0.083, reason_names=REASONS,
                         threshold_rule="budget of 50 alerts a day", not_for="Refusing a payment without a person."),
    ),
]  # fmt: skip

_STEADY = {"name": "score", "words": "score", "psi": 0.031, "threshold": 0.2, "drift": False, "p_adjusted": 0.6}
_MOVED = {**_STEADY, "name": "mean_grey", "words": "mean grey", "psi": 0.8123, "drift": True, "p_adjusted": 1e-9}
DRIFT = {
    "chest": {"n": 412, "needed": 200, "served": 2310, "drift": True, "columns": [_STEADY, _MOVED]},
    "road": {"n": 12, "needed": 200, "served": 12, "drift": None, "columns": []},
    "sentiment": {"n": 300, "needed": 200, "served": 300, "drift": False, "columns": [_STEADY]},
    "fraud": {"n": 300, "needed": 200, "served": 300, "drift": False, "columns": [_STEADY]},
}
CARD = (
    "<h1>chest</h1><p>Scores a radiograph. NOT A MEDICAL DEVICE.</p><h2>Model details</h2><table><thead><tr><th></th>"
    "<th>Value</th></tr></thead><tbody><tr><td>network</td><td>residual CNN</td></tr></tbody></table>"
)


def answer(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what a model says of one row."""
    if name == "sentiment":
        return _of_text(row["text"])
    if name == "fraud":
        score = min(row["amount"] or 0.0, 1000.0) / 1000
        return {"score": score, "decision": "fraud" if score >= 0.083 else "genuine", "reasons": [0, 3, -1]}
    image = cv2.imdecode(np.frombuffer(base64.b64decode(row["image_bytes"]["b64"]), np.uint8), cv2.IMREAD_COLOR)
    return {"chest": _of_chest, "findings": _of_findings, "road": _of_road}[name](image)


def explain(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return why a model says so."""
    if name == "sentiment":
        tokens = row["text"].split()
        values = [_WORDS.get(token.strip(".,").lower(), 0.01) for token in tokens]
        return {"tokens": [*tokens, "", ""], "attributions": [*values, 0.0, 0.0]}
    rows, columns = np.mgrid[0:8, 0:8]
    return {"heat": np.exp(-((rows - 5) ** 2 + (columns - 2) ** 2) / 5).tolist(), "label": "opacity"}


def _of_text(text: str) -> dict[str, Any]:
    total = sum(_WORDS.get(token.strip(".,").lower(), 0.0) for token in text.split())
    positive = 1 / (1 + math.exp(-total))
    label = "positive" if positive >= 0.5 else "negative"
    return {
        "scores": [1 - positive, positive],
        "labels": label,
        "decision": "abstain" if abs(total) < 0.1 else label,
    }


def _of_chest(image: np.ndarray | None) -> dict[str, Any]:
    if image is None:
        return {"scores": [0.0, 0.0], "labels": "invalid", "decision": "invalid", "valid": False}
    opacity = 1 - float(image.mean()) / 255
    label = "opacity" if opacity >= 0.512 else "normal"
    decision = "abstain" if 0.35 < opacity < 0.5 else label
    return {"scores": [1 - opacity, opacity], "labels": label, "decision": decision, "valid": True}


def _of_findings(image: np.ndarray | None) -> dict[str, Any]:
    if image is None:
        return {"scores": [0.0] * 3, "labels": "invalid", "decision": "invalid"}
    return {"scores": [0.71, 0.12, 0.094], "labels": "Effusion|Mass", "decision": "Effusion|Mass"}


def _of_road(image: np.ndarray | None) -> dict[str, Any]:
    boxes, scores, classes = np.zeros((100, 4)), np.zeros(100), np.zeros(100, int)
    if image is None:
        return {"boxes": boxes.tolist(), "scores": scores.tolist(), "classes": classes.tolist(), "count": 0,
                "decision": "invalid"}  # fmt: skip
    factor = image.shape[1] / 480
    boxes[0], boxes[1] = np.array([200, 130, 300, 210]) * factor, np.array([40, 120, 66, 180]) * factor
    scores[:2], classes[:2] = (0.934, 0.51), (0, 1)
    return {"boxes": boxes.tolist(), "scores": scores.tolist(), "classes": classes.tolist(), "count": 2,
            "decision": "obstacle_ahead"}  # fmt: skip


OPENAPI: dict[str, Any] = {
    "info": {"title": "fieldnets", "version": "1"},
    "paths": {
        "/health": {
            "get": {"summary": "Health", "tags": ["operations"], "responses": {"200": {"description": "ready"}}}
        },
        "/v1/models/{name}:predict": {
            "post": {
                "summary": "Predict",
                "description": "Answer rows.",
                "tags": ["TF Serving"],
                "parameters": [{"name": "name", "in": "path", "schema": {"type": "string", "enum": ["sentiment"]}}],
                "requestBody": {"required": True},
                "responses": {"200": {"description": "predictions"}, "429": {"description": "too much to do"}},
            }
        },
    },
}
