import keras
import numpy as np
import pytest
import tensorflow as tf

from apps.driving_perception import boxes, losses, model

pytestmark = pytest.mark.tensorflow
CLASSES = 2


def grid(side: int = 8, stride: int = 8) -> np.ndarray:
    """Centres (side * side, 2) of a square grid."""
    places = (np.arange(side) + 0.5) * stride
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2).astype(np.float32)


def places_of(centres: np.ndarray, logits: np.ndarray, box: np.ndarray, stride: float = 8.0) -> np.ndarray:
    strides = np.full((len(centres), 1), stride)
    return np.concatenate([logits, box, centres, strides], axis=1)[np.newaxis].astype(np.float32)


def row(box: list[float], kind: float, *classes: float) -> list[float]:
    return [*box, kind, *classes]


def assign(
    rows: list[list[float]], scores: np.ndarray, box: np.ndarray, centres: np.ndarray, most: int = 3
) -> dict[str, np.ndarray]:
    found = losses.assign(
        np.array([rows], np.float32),
        scores[np.newaxis].astype(np.float32),
        box[np.newaxis].astype(np.float32),
        centres[np.newaxis],
        np.full((1, len(centres), 1), 8.0, np.float32),
        most=most,
    )
    return {name: np.asarray(value)[0] for name, value in vars(found).items()}


def test_an_object_gets_the_places_inside_it_whose_boxes_fit_best() -> None:
    centres = grid()
    truth = [8.0, 8, 40, 40]
    guesses = np.tile(np.array([[0.0, 0, 30, 30]]), (len(centres), 1))
    inside = np.flatnonzero(((centres > 8) & (centres < 40)).all(axis=1))
    guesses[inside[[2, 5]]] = truth
    guesses[0] = truth  # fits, and lies outside
    found = assign([row(truth, losses.OBJECT, 1, 0)], np.full((64, 2), 0.5), guesses, centres, most=2)
    assert np.flatnonzero(found["weight"]).tolist() == sorted(inside[[2, 5]].tolist())
    assert found["quality"][inside[2]] == pytest.approx([1.0, 0.0], abs=1e-5)
    assert found["boxes"][inside[2]].tolist() == truth


def test_the_best_place_is_asked_for_its_own_overlap_and_the_others_for_less() -> None:
    centres = grid()
    truth = [0.0, 0, 64, 64]
    guesses = np.tile(np.array([[0.0, 0, 64, 32]]), (len(centres), 1))
    guesses[9] = [0, 0, 64, 48]
    found = assign([row(truth, losses.OBJECT, 0, 1)], np.full((64, 2), 0.5), guesses, centres)
    assert found["weight"].max() == pytest.approx(0.75, abs=1e-4)
    assert found["weight"].argmax() == 9
    assert found["weight"][10] == pytest.approx(0.75 * (0.5 / 0.75) ** 6, rel=1e-3)


def test_a_place_that_two_objects_want_learns_the_one_it_overlaps_more() -> None:
    centres = grid(1)
    near, far = [0.0, 0, 8, 8], [0.0, 0, 8, 7]
    rows = [row(far, losses.OBJECT, 1, 0), row(near, losses.OBJECT, 0, 1)]
    found = assign(rows, np.full((1, 2), 0.5), np.array([near]), centres, most=1)
    assert found["quality"][0, 1] > 0.9
    assert found["quality"][0, 0] == 0
    assert found["boxes"][0].tolist() == near


def test_an_object_in_no_middle_of_a_place_has_places_all_the_same() -> None:
    centres = grid()
    tiny = [17.0, 17, 19, 19]
    guesses = np.concatenate([centres - 1, centres + 1], axis=1)
    guesses[:] = tiny
    found = assign([row(tiny, losses.OBJECT, 1, 0)], np.full((64, 2), 0.5), guesses, centres)
    # The middle is (18, 18); within 0.75 strides of it lies (20, 20) only.
    assert centres[found["weight"] > 0].tolist() == [[20, 20]]


def loss_of(rows: list[list[float]], places: np.ndarray) -> float:
    return float(losses.DetectionLoss(assigned_places=3)(np.array([rows], np.float32), tf.constant(places)))


def test_what_an_ignored_area_covers_costs_nothing_and_other_classes_there_do() -> None:
    centres = grid()
    logits = np.full((64, 2), -9.0)
    logits[0, 0] = 5.0  # a false alarm of class 0 in the corner
    places = places_of(centres, logits, np.concatenate([centres - 4, centres + 4], axis=1))
    nothing = row([0, 0, 0, 0], losses.NOTHING, 0, 0)
    alarm = loss_of([nothing], places)
    assert alarm > 1
    assert loss_of([row([0, 0, 16, 16], losses.IGNORED, 1, 0)], places) < 1e-3
    assert loss_of([row([0, 0, 16, 16], losses.IGNORED, 0, 1)], places) == pytest.approx(alarm, rel=1e-3)
    assert loss_of([row([16, 16, 32, 32], losses.IGNORED, 1, 1)], places) == pytest.approx(alarm, rel=1e-3)


def test_the_right_answer_costs_next_to_nothing_and_a_padding_row_changes_nothing() -> None:
    centres = grid()
    truth = [8.0, 8, 40, 40]
    inside = ((centres > 8) & (centres < 40)).all(axis=1)
    chosen = np.flatnonzero(inside)[:3]
    logits = np.full((64, 2), -12.0)
    logits[chosen, 1] = 12.0
    guesses = np.concatenate([centres - 2, centres + 2], axis=1)
    guesses[chosen] = truth
    places = places_of(centres, logits, guesses)
    rows = [row(truth, losses.OBJECT, 0, 1)]
    assert loss_of(rows, places) < 1e-3
    assert loss_of([*rows, row([0, 0, 0, 0], losses.NOTHING, 0, 0)], places) == pytest.approx(loss_of(rows, places))
    logits[chosen, 1] = 0.0
    assert loss_of(rows, places_of(centres, logits, guesses)) > 0.1


def test_complete_overlap_equals_its_formula_on_random_boxes() -> None:
    generator = np.random.default_rng(1)
    corners = generator.uniform(0, 50, (2, 200, 2))
    one, two = (np.concatenate([c, c + generator.uniform(1, 40, (200, 2))], axis=1) for c in corners)
    found = np.asarray(losses.complete_iou(one.astype(np.float32), two.astype(np.float32)))
    for first, second, value in zip(one, two, found, strict=True):
        overlap = boxes.iou(first[None], second[None])[0, 0]
        outer = np.array([*np.minimum(first[:2], second[:2]), *np.maximum(first[2:], second[2:])])
        distance = np.sum(((first[:2] + first[2:]) / 2 - (second[:2] + second[2:]) / 2) ** 2)
        angles = [np.arctan((b[2] - b[0]) / (b[3] - b[1])) for b in (first, second)]
        shape = 4 / np.pi**2 * (angles[0] - angles[1]) ** 2
        trust = shape / (1 - overlap + shape)
        expected = overlap - distance / np.sum((outer[2:] - outer[:2]) ** 2) - trust * shape
        assert value == pytest.approx(expected, abs=2e-3)


def test_rows_compared_in_parts_cost_what_they_cost_alone() -> None:
    generator = np.random.default_rng(0)
    centres = grid()
    guesses = np.concatenate([centres - 8, centres + 8], axis=1)
    places = np.concatenate([places_of(centres, generator.normal(size=(64, 2)), guesses) for _ in range(70)])
    rows = np.tile(np.array([[row([8, 8, 24, 24], losses.OBJECT, 1, 0)]], np.float32), (70, 1, 1))
    whole = losses.DetectionLoss().call(rows, places)
    assert whole.shape == (70,)
    assert whole[:32] == pytest.approx(losses.DetectionLoss().call(rows[:32], places[:32]))


def test_the_loss_survives_its_own_description() -> None:
    loss = losses.DetectionLoss(box_weight=3.0, assigned_places=7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (96, 160)])
def test_a_network_takes_any_multiple_of_32_and_says_where_each_place_is(size: tuple[int, int]) -> None:
    from apps.driving_perception import config

    network = model.build(config.Config.smoke(), classes=3)
    places = np.asarray(network(np.full((2, *size, 3), 90.0, np.float32), training=False))
    expected = sum((size[0] // s) * (size[1] // s) for s in model.STRIDES)
    assert places.shape == (2, expected, 3 + model.GEOMETRY_COLUMNS)
    strides = places[0, :, -1]
    centres = places[0, :, -3:-1]
    assert ((centres / strides[:, None]) % 1 == 0.5).all()
    assert (centres < np.array(size[::-1])).all()
    assert (places[..., -7:-5] < places[..., -3:-1]).all()
    assert (places[..., -5:-3] > places[..., -3:-1]).all()
    # Before training every place believes in the prior.
    assert 1 / (1 + np.exp(-places[..., :3])) == pytest.approx(np.full_like(places[..., :3], model.PRIOR), abs=0.02)
