"""Maps against weights read off by hand, and checks that a map must be able to fail."""

import keras
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from keras import ops

from shared.explain import grad_cam, gradients, sanity_checks

pytestmark = pytest.mark.tensorflow

IMAGES = np.random.default_rng(0).uniform(0, 1, (5, 8, 8, 1)).astype("float32")


def network(*, strides: int = 1, name: str = "inner") -> keras.Model:
    """One convolution, its average, logits: the map is the convolution weighted by the logits' kernel."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(6, 3, strides=strides, padding="same", activation="relu", name="features")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x), name=name)


def logits_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(model(images, training=False)))


def test_after_an_average_the_map_is_the_class_activation_map_of_the_log_odds() -> None:
    model = network()
    got = grad_cam.maps(model, IMAGES, layer_path="features", targets=np.full(5, 2))
    features = ops.convert_to_numpy(gradients.cut(model, "features")[0](IMAGES))
    kernel, logits = model.get_layer("logits").get_weights()[0], logits_of(model, IMAGES)
    rest = np.exp(logits[:, :2]) / np.exp(logits[:, :2]).sum(axis=1, keepdims=True)
    for image in range(5):
        weights = kernel[:, 2] - kernel[:, :2] @ rest[image]
        wanted = np.maximum(features[image] @ weights, 0)
        np.testing.assert_allclose(got[image], wanted / wanted.max(), atol=1e-5)


def test_by_place_only_what_speaks_for_the_class_at_its_own_place_counts() -> None:
    model = network()
    got = grad_cam.maps(model, IMAGES, layer_path="features", targets=np.full(5, 2), by_place=True)
    features = ops.convert_to_numpy(gradients.cut(model, "features")[0](IMAGES))
    kernel, logits = model.get_layer("logits").get_weights()[0], logits_of(model, IMAGES)
    rest = np.exp(logits[:, :2]) / np.exp(logits[:, :2]).sum(axis=1, keepdims=True)
    for image in range(5):
        # After an average the gradient is the same at every place: the channels that speak against are left out.
        wanted = features[image] @ np.maximum(kernel[:, 2] - kernel[:, :2] @ rest[image], 0)
        np.testing.assert_allclose(got[image], wanted / wanted.max(), atol=1e-5)


def test_a_coarse_layer_gives_a_map_of_the_size_of_the_image() -> None:
    got = grad_cam.maps(network(strides=4), IMAGES, layer_path="features")
    assert got.shape == (5, 8, 8)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.max(axis=(1, 2)), 1)
    assert got.min() >= 0


def test_without_targets_the_predicted_classes_are_mapped_whatever_the_batches() -> None:
    model = network()
    predicted = logits_of(model, IMAGES).argmax(axis=1)
    wanted = grad_cam.maps(model, IMAGES, layer_path="features", targets=predicted)
    np.testing.assert_allclose(grad_cam.maps(model, IMAGES, layer_path="features", batch_size=2), wanted, atol=1e-6)


def test_where_nothing_speaks_for_the_class_the_map_is_empty() -> None:
    model = network()
    kernel = np.zeros((6, 3), "float32")
    kernel[:, 0] = 1
    model.get_layer("logits").set_weights([kernel, np.zeros(3)])
    assert not grad_cam.maps(model, IMAGES, layer_path="features", targets=np.full(5, 1)).any()


def wrapped(inner: keras.Model, *, name: str = "outer") -> keras.Model:
    """The inner model on scaled images, plus a logit from around it."""
    inputs = keras.Input((8, 8, 1), name="image")
    scaled = keras.layers.Rescaling(2.0, -1.0, name="scaled")(inputs)
    around = keras.layers.Dense(3, name="around")(keras.layers.Flatten(name="flat")(scaled))
    return keras.Model(inputs, keras.layers.Add(name="sum")([inner(scaled), around]), name=name)


def test_a_layer_of_a_nested_backbone_is_mapped_as_in_the_backbone_itself() -> None:
    inner = network()
    model = wrapped(inner)
    model.get_layer("around").set_weights([np.zeros((64, 3)), np.zeros(3)])
    targets = np.array([0, 1, 2, 0, 1])
    wanted = grad_cam.maps(inner, 2 * IMAGES - 1, layer_path="features", targets=targets)
    got = grad_cam.maps(model, IMAGES, layer_path="inner/features", targets=targets)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_the_input_may_have_a_name_in_a_dictionary() -> None:
    inner = network()
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model({"image": image}, inner(image))
    wanted = grad_cam.maps(inner, IMAGES, layer_path="features")
    np.testing.assert_allclose(grad_cam.maps(model, IMAGES, layer_path="inner/features"), wanted, atol=1e-6)


def test_a_cut_two_models_deep_computes_what_the_model_does_and_leaves_it_alone() -> None:
    model = wrapped(wrapped(network(), name="middle"))
    before = logits_of(model, IMAGES)
    head, tail = gradients.cut(model, "middle/inner/features")
    images = ops.convert_to_tensor(IMAGES)
    joined = tail([images, head(images)], training=False)
    np.testing.assert_allclose(ops.convert_to_numpy(joined), before, atol=1e-6)
    changed = tail([images, head(images) + 1], training=False)
    assert not np.allclose(ops.convert_to_numpy(changed), before)
    np.testing.assert_array_equal(logits_of(model, IMAGES), before)
    copy = type(model).from_config(model.get_config())
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]


def test_a_backbone_that_is_called_twice_has_no_one_map() -> None:
    inner = network()
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Add()([inner(inputs), inner(1 - inputs)]), name="twice")
    with pytest.raises(ValueError, match=r"Expected twice to call inner once\. Received: 2 calls"):
        grad_cam.maps(model, IMAGES, layer_path="inner/features")


@pytest.mark.parametrize(
    ("images", "path", "message"),
    [
        (IMAGES[:0], "features", r"at least one image to explain\. Received: 0"),
        (IMAGES, "average", r"average to put out rows and columns\. Received: shape \(None, 6\)"),
        (IMAGES, "no_such_layer", "no_such_layer"),
    ],
)
def test_what_cannot_be_mapped_is_refused(images: np.ndarray, path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grad_cam.maps(network(), images, layer_path=path)


def spots(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise with a bright upright bar (class 1) or a lying one (class 0), and the places (count, 2) of their middle."""
    generator = np.random.default_rng(4)
    images = generator.normal(0, 0.3, (count, 16, 16, 1)).astype("float32")
    labels, places = np.arange(count) % 2, generator.integers(3, 13, (count, 2))
    for image, upright, (y, x) in zip(images, labels, places, strict=True):
        image[(slice(y - 3, y + 4), x) if upright else (y, slice(x - 3, x + 4))] += 2
    return images, labels, places


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(8, 5, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="features")(x)
    x = keras.layers.Dense(2, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    images, labels, _ = spots(256)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, epochs=15, batch_size=32, verbose=0)
    return model


def test_a_trained_network_points_at_what_makes_the_class(trained: keras.Model) -> None:
    images, labels, places = spots(64)
    assert (logits_of(trained, images).argmax(axis=1) == labels).mean() > 0.95
    heat = grad_cam.maps(trained, images, layer_path="features", targets=labels)
    highest = np.array([np.unravel_index(one.argmax(), one.shape) for one in heat])
    assert (np.abs(highest - places).max(axis=1) <= 4).mean() > 0.9


def test_maps_of_a_trained_network_pass_the_randomization_check_and_edges_do_not(trained: keras.Model) -> None:
    images, labels, _ = spots(16)
    before = trained.get_weights()
    checked = sanity_checks.randomization(
        trained, images, lambda model: grad_cam.maps(model, images, layer_path="features", targets=labels)
    )
    assert checked.shares == (0.25, 0.5, 0.75, 1.0)
    assert checked.correlations.shape == (4, 16)
    assert checked.passed
    edges = np.abs(np.gradient(images[..., 0], axis=1))
    planted = sanity_checks.randomization(trained, images, lambda _model: edges)
    np.testing.assert_allclose(planted.means, 1)
    assert not planted.passed
    for now, then in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_maps_that_turn_into_their_opposite_do_not_pass(trained: keras.Model) -> None:
    heat = np.random.default_rng(0).uniform(size=(3, 4, 4))
    checked = sanity_checks.randomization(trained, IMAGES, lambda model: heat if model is trained else 1 - heat)
    np.testing.assert_allclose(checked.means, -1)
    assert not checked.passed


def test_maps_that_name_nothing_do_not_pass(trained: keras.Model) -> None:
    checked = sanity_checks.randomization(trained, IMAGES, lambda _model: np.zeros((3, 4, 4)))
    assert np.isnan(checked.correlations).all()
    assert np.isnan(checked.means).all()
    assert not checked.passed


def test_shuffling_a_share_leaves_the_first_arrays_and_every_value(trained: keras.Model) -> None:
    wanted, got = trained.get_weights(), sanity_checks.shuffled(trained, IMAGES, share=0.5, seed=0).get_weights()
    same = [np.array_equal(one, other) for one, other in zip(wanted, got, strict=True)]
    assert same == [True, True, True, False, False, False]
    for one, other in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(np.sort(one, axis=None), np.sort(other, axis=None))


@pytest.mark.parametrize("shares", [(), (0.5,), (1.0, 0.5), (0.0, 1.0), (0.5, 0.5, 1.0)])
def test_shares_that_do_not_rise_to_one_are_refused(trained: keras.Model, shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"rise from above 0 to 1\. Received: "):
        sanity_checks.randomization(trained, IMAGES, lambda _model: IMAGES, shares=shares)


@given(numpy_strategies.arrays("int8", (2, 9), elements=st.integers(-4, 4)))
def test_rank_correlation_is_that_of_scipy(rows: np.ndarray) -> None:
    one, other = rows
    got = sanity_checks.rank_correlations(one[None], other[None])[0]
    if len(set(one)) == 1:
        assert np.isnan(got)
    elif len(set(other)) == 1:
        assert got == 0
    else:
        assert got == pytest.approx(scipy.stats.spearmanr(one, other).statistic, abs=1e-12)
