"""What an explanation says, held against the model asked again."""

import argparse
import io
import pathlib
from typing import Any

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from apps.driving_perception import config, decision, explain, model, preprocessing, saliency
from apps.driving_perception import run as loaded_run
from shared import errors, files

pytestmark = pytest.mark.tensorflow
SETTINGS = config.Config.smoke()


def rule(threshold: float) -> decision.DecisionRule:
    return decision.DecisionRule(
        class_names=("car", "person"),
        threshold=threshold,
        rule="max_f1",
        fppi_budget=0.1,
        recall=0.5,
        precision=0.5,
        false_positives_per_image=0.1,
        fitted_on={},
    )


@pytest.fixture(scope="module")
def network() -> object:
    """A network with random weights whose scores are spread: what it sees decides."""
    keras.utils.set_random_seed(0)
    found = model.build(SETTINGS, classes=2)
    kernel, bias = found.get_layer("logits").get_weights()
    found.get_layer("logits").set_weights([kernel * 60, bias + 3.0])
    return found


def run_of(network: object, path: pathlib.Path, threshold: float) -> loaded_run.Run:
    return loaded_run.Run(folder=files.RunFolder(path), settings=SETTINGS, model=network, rule=rule(threshold))


def picture(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 18, 3), np.uint8).repeat(6, axis=0).repeat(6, axis=1)
    buffer = io.BytesIO()
    image = PIL.Image.fromarray(pixels)
    (image.convert("CMYK") if kind == "TIFF" else image).save(buffer, kind)
    return buffer.getvalue()


def middle_of(network: object, tmp_path: pathlib.Path, content: bytes) -> float:
    """A threshold that some boxes reach and others do not."""
    found = run_of(network, tmp_path, 0.0).predict([content])
    scores = found["scores"][0, : found["count"][0]]
    assert len(scores) > 6
    return float((scores[4] + scores[5]) / 2)


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("GIF", "TIFF"))]
)
def test_what_is_told_is_what_predict_gives_for_the_same_file(
    network: object, tmp_path: pathlib.Path, kind: str
) -> None:
    content = picture(kind)
    (tmp_path / "road").write_bytes(content)
    run = run_of(network, tmp_path, middle_of(network, tmp_path, content))
    asked = run.predict([content])
    given: Any = argparse.Namespace(input=str(tmp_path / "road"), output=tmp_path / "why.html", seed=0, missed=None)
    told = explain.explain_file(run, given)
    assert len(told["boxes"]) == asked["count"][0] == 5
    for row, each in enumerate(told["boxes"]):
        assert each["class"] == asked["labels"][0, row]
        assert each["score"] == pytest.approx(asked["scores"][0, row], abs=1e-4)
        assert each["xyxy"] == pytest.approx(asked["boxes"][0, row].tolist(), abs=0.06)
    assert told["decision"] == asked["decision"][0]
    page = (tmp_path / "why.html").read_text("utf-8")
    counts = {name: int((asked["labels"][0, :5] == name).sum()) for name in run.rule.class_names}
    listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    assert f"Predicted: {listed}. Decision: {told['decision']}." in page
    assert len(told["greyed_checks_passed"]) == explain.MOST_EXPLAINED


def test_greyed_scores_are_those_of_the_model_asked_with_greyed_pixels(network: object, tmp_path: pathlib.Path) -> None:
    content = picture("PNG")
    (tmp_path / "road.png").write_bytes(content)
    run = run_of(network, tmp_path, middle_of(network, tmp_path, content))
    seen, found, _ = explain.look(run, tmp_path / "road.png")
    first = found[0]
    why = saliency.explain(run.model, SETTINGS, seen, first.place, first.label, seed=0)
    rows, columns = saliency.window(seen, first.place)
    heat = why.heat[rows, columns]
    count = round(heat.size / 10)
    for pixels, expected in (
        (np.argsort(heat.ravel(), kind="stable")[-count:], why.without_brightest),
        (np.argsort(heat.ravel(), kind="stable")[:count], why.without_darkest),
    ):
        changed = seen.canvas.copy()
        for pixel in pixels:
            changed[0, rows.start + pixel // heat.shape[1], columns.start + pixel % heat.shape[1]] = preprocessing.GREY
        logits = np.asarray(run.model(changed, training=False))[0, first.place, first.label]
        assert expected == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)
    assert why.agrees == (why.without_brightest < why.without_darkest)


def test_an_image_with_too_many_pixels_or_none_is_refused_by_name(network: object, tmp_path: pathlib.Path) -> None:
    run = run_of(network, tmp_path, 0.5)
    PIL.Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    (tmp_path / "no.jpg").write_bytes(b"no image")
    for name in ("huge.png", "no.jpg", "gone.jpg"):
        with pytest.raises(errors.InputError, match=name):
            explain.look(run, tmp_path / name)
    outputs = run.predict([(tmp_path / "huge.png").read_bytes(), picture("PNG")])
    assert outputs["decision"][0] == "invalid"
    assert outputs["decision"][1] != "invalid"


def seen_with(rows: list[tuple[list[float], float, float]]) -> saliency.Seen:
    """Places with these corners and scores of car and person, on a canvas that is the image."""
    places = [
        [np.log(car / (1 - car)), np.log(person / (1 - person)), *corners, 0, 0, 8] for corners, car, person in rows
    ]
    geometry = tf.constant([96, 96, 96, 96, 96, 96]).numpy().astype(np.int64)
    assert geometry[preprocessing.ORIGINAL].tolist() == [96, 96]
    image = np.zeros((96, 96, 3), np.uint8)
    return saliency.Seen(
        name="x",
        image=image,
        canvas=np.zeros((1, 96, 96, 3), np.float32),
        geometry=geometry,
        places=np.array(places, np.float32),
    )


TRUE = np.array([10.0, 10, 50, 50])


@pytest.mark.parametrize(
    ("rows", "predicted", "expected"),
    [
        ([([10, 10, 50, 50], 0.8, 0.1)], [0], "Found: car is predicted there with 0.80"),
        ([([10, 10, 50, 50], 0.3, 0.1)], [], "Too unsure: the surest box that fits scores 0.300 as car, below"),
        ([([60, 60, 90, 90], 0.9, 0.1)], [0], "Nothing comes near: no place gives a box that overlaps it by more"),
        ([([30, 10, 70, 50], 0.9, 0.1)], [0], "Badly placed: no place gives a box that overlaps it by 0.5 or more. car "
         "is predicted beside it with 0.90, but its box overlaps the true one by 0.33 only."),
        ([([18, 10, 62, 50], 0.9, 0.1), ([12, 10, 52, 50], 0.7, 0.1)], [0], "Found: car is predicted there with 0.90"),
        ([([27, 10, 60, 50], 0.9, 0.1), ([18, 10, 58, 50], 0.7, 0.1)], [0], "Suppressed: a box that fits scores 0.700 "
         "as car, but overlaps a better one of its class (0.900) by 0.74, more than the 0.5 up to which both stay."),
        ([([10, 10, 50, 50], 0.7, 0.1)], [], "Suppressed: a box that fits scores 0.700 as car, but other boxes score "
         "more: at most 100 are predicted"),
        ([([30, 10, 70, 50], 0.9, 0.1), ([10, 10, 50, 50], 0.1, 0.4)], [0], "Too unsure: the surest box that fits "
         "scores 0.400 as person, below the threshold of 0.500. car is predicted beside it with 0.90"),
    ],
)  # fmt: skip
def test_the_reason_for_a_miss_is_the_one_that_was_planted(
    network: object,
    tmp_path: pathlib.Path,
    rows: list[tuple[list[float], float, float]],
    predicted: list[int],
    expected: str,
) -> None:
    run, seen = run_of(network, tmp_path, 0.5), seen_with(rows)
    found = [explain.Predicted(i, int(seen.scores[i].argmax()), float(seen.scores[i].max())) for i in predicted]
    said = explain.reason(run, seen, TRUE, explain.candidates(seen, TRUE), found)
    assert said.startswith(expected)
