"""Heat maps of a network that had to find a bright spot: they point at it, and a map that deserves no trust says so."""

import dataclasses
import io
import pathlib

import keras
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import tensorflow as tf

from apps.medical_imaging import config, data, decision, explain, graph, heat_maps, model
from apps.medical_imaging import run as loaded_run
from shared import decision as decisions
from shared import errors, files
from shared.explain import grad_cam, sanity_checks
from shared.report import document

pytestmark = pytest.mark.tensorflow

SIZE = 32
SETTINGS = config.Config.smoke().replace({"image_size": SIZE, "cnn_filters": (8, 16)})


def spots(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise, every second image with a bright spot: squares (count, 32, 32, 1), labels, boxes of the spots."""
    generator = np.random.default_rng(seed)
    squares = generator.normal(90, 25, (count, SIZE, SIZE, 1))
    labels, boxes = np.arange(count) % 2, np.empty(count, object)
    for row in np.flatnonzero(labels):
        y, x = generator.integers(2, SIZE - 10, 2)
        squares[row, y : y + 8, x : x + 8] += 70
        boxes[row] = np.array([[x, y, x + 8, y + 8]], "float32") / SIZE
    return squares.clip(0, 255).astype(np.uint8), labels, boxes


def run_of(network: keras.Model, *, several: bool = False, settings: config.Config = SETTINGS) -> loaded_run.Run:
    names = ("clear", "spot")
    rule: decision.Rule = decisions.Decision(
        class_names=names, temperature=1.0, threshold=0.5, rule="chosen here", alpha=0.1, quantile=0.99, fitted_on={}
    )
    if several:
        rule = decision.MultiLabelDecision(
            class_names=names,
            temperatures=(1.0, 1.0),
            thresholds=(0.5, 0.5),
            rule="chosen here",
            alpha=0.1,
            quantiles=(0.9, 0.9),
            fitted_on={},
        )
    return loaded_run.Run(
        folder=files.RunFolder(pathlib.Path()),
        settings=settings,
        model=model.assemble([network], settings),
        rule=rule,
    )


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    built = model.build(SETTINGS, classes=2)
    squares, labels, _ = spots(256)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    built.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    built.fit(squares, labels, epochs=6, batch_size=16, verbose=0)
    fresh, truth, _ = spots(64, seed=1)
    assert built.evaluate(fresh, truth, verbose=0)[1] > 0.95
    return built


@pytest.fixture(scope="module")
def run(network: keras.Model) -> loaded_run.Run:
    return run_of(network)


@pytest.fixture(scope="module")
def explanation(run: loaded_run.Run) -> explain.Explanation:
    squares, _, _ = spots(2, seed=7)
    return explain.explain(run, squares[1], name="<b>spot</b>.png")


def test_the_maps_of_a_trained_network_point_at_what_it_had_to_find(run: loaded_run.Run) -> None:
    squares, _, boxes = spots(80, seed=2)
    (found,) = heat_maps.checks(run, squares, boxes, most=40, seed=0)
    assert found.method == "Grad-CAM"
    assert found.images == 40
    assert found.pointing is not None
    assert found.chance is not None
    assert found.chance == pytest.approx(1 / 16, abs=0.001)
    assert found.pointing.low > 4 * found.chance
    assert list(found.randomised) == [*(f"last {share}% of the weights" for share in (25, 50, 75)), "all weights"]
    assert abs(found.randomised["all weights"]) < 0.5


def test_boxes_in_the_wrong_places_are_not_pointed_at(run: loaded_run.Run) -> None:
    squares, _, boxes = spots(80, seed=2)
    (found,) = heat_maps.checks(run, squares, np.roll(boxes, 2), most=40, seed=0)
    assert found.pointing is not None
    assert found.pointing.value < 0.3


def test_images_without_boxes_are_checked_for_their_weights_alone(run: loaded_run.Run) -> None:
    squares, _, _ = spots(6, seed=3)
    (found,) = heat_maps.checks(run, squares, np.full(6, None), most=4, seed=0)
    assert (found.images, found.pointing, found.chance) == (4, None, None)
    assert heat_maps.checks(run, squares[:0], [], most=4, seed=0) == []


def test_an_explanation_carries_the_answer_two_maps_and_their_checks(
    run: loaded_run.Run, explanation: explain.Explanation
) -> None:
    squares, _, boxes = spots(2, seed=7)
    said = decision.predictions(run.rule, run.logits(squares[1:]), np.ones(1, bool))
    assert (explanation.label, explanation.explained) == (said["labels"][0], "spot")
    assert list(explanation.scores.values()) == pytest.approx(said["scores"][0].tolist())
    assert [found.method for found in explanation.maps] == ["Grad-CAM", "Integrated gradients"]
    left, top, right, bottom = boxes[1][0] * SIZE
    for found in explanation.maps:
        assert found.heat.shape == (SIZE, SIZE)
        row, column = np.unravel_index(found.heat.argmax(), found.heat.shape)
        assert top - 2 <= row <= bottom + 2
        assert left - 2 <= column <= right + 2
        assert found.check.passed


def test_the_page_escapes_names_and_shows_every_map_beside_its_check(
    explanation: explain.Explanation, tmp_path: pathlib.Path
) -> None:
    explain.write(explanation, tmp_path / "why.html")
    page = (tmp_path / "why.html").read_text("utf-8")
    assert page.count("<img") == 3
    assert page.count("the check passes") == 2
    assert "Not a medical device" in page
    assert "synthetic images" in page
    assert "<b>spot" not in page


def test_a_picture_holds_the_image_and_its_maps(explanation: explain.Explanation, tmp_path: pathlib.Path) -> None:
    explain.write(explanation, tmp_path / "why.png")
    picture = PIL.Image.open(tmp_path / "why.png")
    side = explain.PICTURE_PIXELS
    assert picture.size[0] == 3 * side + 16
    pixels = np.asarray(picture).astype(int)
    assert (pixels[:side, :side, 0] == pixels[:side, :side, 2]).all()
    assert (pixels[:side, side + 8 : 2 * side + 8, 0] != pixels[:side, side + 8 : 2 * side + 8, 2]).any()


@pytest.mark.parametrize(
    ("correlation", "told"),
    [(1.0, "the check FAILS: do not trust this map"), (-0.9, "the check FAILS"), (np.nan, "there is no map to trust")],
)
def test_a_map_that_does_not_depend_on_the_weights_says_so(
    explanation: explain.Explanation, correlation: float, told: str
) -> None:
    """Planted fault: maps that stay, turn into their opposite, or are empty."""
    check = sanity_checks.RandomizationCheck(shares=(1.0,), correlations=np.array([[correlation]]))
    planted = tuple(dataclasses.replace(found, check=check) for found in explanation.maps)
    page = document.render(explain.page(dataclasses.replace(explanation, maps=planted)))
    assert page.count(told) == 2
    assert "no explanation of it passed its check" in page
    assert "with that covered" not in page


def test_of_several_findings_the_surest_is_explained_by_its_own_logit(network: keras.Model) -> None:
    several = run_of(network, several=True)
    squares, _, _ = spots(4, seed=5)
    scores = several.rule.scores(several.logits(squares))
    targets = heat_maps.targets_of(several, scores)
    assert targets.tolist() == [int(b > a) for a, b in scores]
    maps = heat_maps.grad_cam_maps(network, SETTINGS, squares, np.ones(4, np.int64), several=True)
    # The other finding's logit has no say in it, as another class's would.
    changed = keras.models.clone_model(network)
    changed.set_weights(network.get_weights())
    kernel, bias = changed.get_layer("cnn").get_layer("logits").get_weights()
    changed.get_layer("cnn").get_layer("logits").set_weights([kernel * [7.0, 1.0], bias])
    again = heat_maps.grad_cam_maps(changed, SETTINGS, squares, np.ones(4, np.int64), several=True)
    np.testing.assert_allclose(again, maps, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("cnn", SETTINGS),
        ("transfer", SETTINGS.replace({"model": "transfer", "pretrained": False})),
        ("views", SETTINGS.replace({"test_time_views": 3})),
    ],
)
def test_every_model_has_a_layer_that_says_where(name: str, settings: config.Config) -> None:
    one = run_of(model.build(settings, classes=2), settings=settings)
    squares, _, _ = spots(2)
    maps = heat_maps.grad_cam_maps(heat_maps.networks_of(one)[0], settings, squares, np.array([0, 1]), several=False)
    assert maps.shape == (2, SIZE, SIZE), name


def sentence(explanation: explain.Explanation) -> str:
    return explain.page(explanation).answer


def test_the_place_that_a_score_comes_from_lowers_it_when_the_model_is_asked_again(run: loaded_run.Run) -> None:
    """The sentence's numbers, and that no other ninth of the image lowers the score more, come from covered copies."""
    named = 0
    for square in spots(4, seed=9)[0]:
        explanation = explain.explain(run, square)
        told = sentence(explanation)
        row, column = heat_maps.ninth(next(found for found in explanation.maps if found.check.passed).heat)
        edges = [0, 11, 21, 32]
        after = []
        for place in range(9):
            covered = square.copy()
            down, across = divmod(place, 3)
            area = covered[edges[down] : edges[down + 1], edges[across] : edges[across + 1]]
            area[...] = round(float(square.mean()))
            scores = run.rule.scores(run.logits(covered[None]))[0]
            after.append(scores[run.rule.class_names.index(explanation.explained)])
        before = explanation.scores[explanation.explained]
        assert f"from {before:.2f} to {after[3 * row + column]:.2f}" in told
        assert (" comes " in told) == (round(before, 2) > round(after[3 * row + column], 2))
        if "most of all" in told:
            named += 1
            assert after[3 * row + column] == pytest.approx(min(after), abs=1e-6)
    assert named > 0


def test_no_score_is_said_to_come_from_a_place_that_does_not_lower_it(
    explanation: explain.Explanation,
) -> None:
    """Planted fault: the map points at another corner than the spot."""
    row, column = heat_maps.ninth(explanation.maps[0].heat)
    elsewhere = np.roll(explanation.maps[0].heat, (SIZE // 3, SIZE // 3), axis=(0, 1))
    planted = dataclasses.replace(explanation.maps[0], heat=elsewhere)
    told = sentence(dataclasses.replace(explanation, maps=(planted,)))
    assert heat_maps.ninth(elsewhere) != (row, column)
    assert "does not come from there" in told
    assert " comes " not in told


def test_of_several_findings_one_that_is_called_present_is_explained(network: keras.Model) -> None:
    rule = run_of(network, several=True).rule
    assert isinstance(rule, decision.MultiLabelDecision)
    rule = dataclasses.replace(rule, thresholds=(0.7, 0.3))
    assert rule.explained(np.array([[0.6, 0.4], [0.6, 0.2], [0.8, 0.4]])).tolist() == [1, 0, 0]


@pytest.mark.parametrize("several", [False, True])
def test_the_signature_draws_the_maps_of_the_verb(network: keras.Model, several: bool) -> None:
    run = run_of(network, several=several)
    squares, _, _ = spots(6, seed=4)
    valid = np.array([True] * 5 + [False])
    found = tf.function(graph.explanation(run, pixels=SIZE))(tf.constant(squares), tf.constant(valid))
    targets = heat_maps.targets_of(run, run.rule.scores(run.logits(squares)))
    expected = heat_maps.grad_cam_maps(network, SETTINGS, squares, targets, several=several)
    expected[5] = 0
    np.testing.assert_allclose(found["heat"], expected, atol=1e-3)
    assert found["label"].numpy().tolist() == [
        *(run.rule.class_names[target].encode() for target in targets[:5]),
        decision.INVALID.encode(),
    ]


def test_a_page_gets_a_small_map_that_points_at_the_same_place(run: loaded_run.Run) -> None:
    squares, _, boxes = spots(24, seed=6)
    found = tf.function(graph.explanation(run))(tf.constant(squares), tf.ones(24, tf.bool))
    maps = found["heat"].numpy()
    assert maps.shape == (24, graph.PIXELS, graph.PIXELS)
    assert maps.min() >= 0
    assert maps.max() <= 1
    seen = [row for row in range(24) if boxes[row] is not None and found["label"][row] == b"spot"]
    assert len(seen) > 8
    game = grad_cam.pointing_game(maps[seen], [boxes[row] for row in seen])
    assert game.rate.low > 4 * game.chance


def test_several_networks_and_views_are_averaged_as_in_the_verb() -> None:
    settings = SETTINGS.replace({"test_time_views": 3, "networks": 2})
    networks = [model.build(settings, classes=2) for _ in range(2)]
    run = dataclasses.replace(run_of(networks[0]), settings=settings, model=model.assemble(networks, settings))
    squares, _, _ = spots(3, seed=8)
    found = tf.function(graph.explanation(run, pixels=SIZE))(tf.constant(squares), tf.ones(3, tf.bool))
    targets = heat_maps.targets_of(run, run.rule.scores(run.logits(squares)))
    maps = [
        heat_maps.grad_cam_maps(each, settings, squares, targets, several=False) for each in heat_maps.networks_of(run)
    ]
    np.testing.assert_allclose(found["heat"], np.mean(maps, axis=0), atol=1e-3)


def encoded(square: np.ndarray) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(square[..., 0]).save(stream, "PNG")
    return stream.getvalue()


def test_a_file_is_explained_as_the_network_reads_it(run: loaded_run.Run, tmp_path: pathlib.Path) -> None:
    squares, _, _ = spots(2, seed=7)
    (tmp_path / "spot.png").write_bytes(encoded(squares[1]))
    np.testing.assert_array_equal(explain.read_square(run, str(tmp_path / "spot.png")), squares[1])


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([b"\x89PNG\r\n\x1a\n cut off"], r"x\.png: expected an image that can be decoded"),
        ([b"", b""], r"x\.png: expected one image to explain\. Received: 2"),
        ([], r"x\.png: expected one image to explain\. Received: 0"),
    ],
)
def test_what_is_not_one_image_is_refused(
    run: loaded_run.Run, monkeypatch: pytest.MonkeyPatch, items: list[bytes], message: str
) -> None:
    chunk = (pd.DataFrame({"file": ["x.png"] * len(items)}), items)
    monkeypatch.setattr(data, "iterate_images", lambda *_, **__: iter([chunk]))
    with pytest.raises(errors.InputError, match=message):
        explain.read_square(run, "x.png")
