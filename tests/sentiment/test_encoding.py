"""A pretrained encoder in a run: frozen and fine-tuned blocks, resume, explanations, export; a small random one."""

import pathlib
import random
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from apps.sentiment import __main__, attribution, config, corpus, data, encoding, model, preprocessing, train
from apps.sentiment import run as loaded_run
from shared import errors, files
from shared.explain import gradients
from shared.models import encoder, encoder_weights
from shared.training import callbacks, datasets
from tests import encoders, helpers

pytestmark = pytest.mark.tensorflow
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
VOCABULARY = [*encoders.SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), "'", "good", "bad", "was", "film"]
FLAGS = ("--preset", "smoke", "--members", "encoder", "ngram", "--encoder-frozen-blocks", "1", "--epochs", "2")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with texts and a pretrained encoder."""
    folder = tmp_path_factory.mktemp("encoding")
    encoders.write_folder(folder / "pretrained", encoders.random_weights(vocabulary=VOCABULARY, positions=64))
    generator = random.Random(0)
    rows = []
    for number in range(300):
        words = generator.choices(["film", "plot", "cast", "story", "wasn't", "slow", "long"], k=4)
        rows.append((f"{' '.join(words)} {number} {'good' if number % 2 else 'bad'}", number % 2))
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "texts.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def folder(texts: pathlib.Path) -> pathlib.Path:
    """The same folder with a run that started from the encoder."""
    assert __main__.main(command(texts, "run")) == 0
    return texts


def command(folder: pathlib.Path, name: str, *flags: str) -> list[str]:
    named = ["--data", str(folder / "texts.csv"), "--encoder", str(folder / "pretrained"), "--encoder-length", "32"]
    return ["train", *named, *FLAGS, "--run-dir", str(folder / name), *flags]


@pytest.fixture(scope="module")
def run(folder: pathlib.Path) -> loaded_run.Run:
    return loaded_run.open_run(folder / "run")


def test_frozen_blocks_stay_as_published_and_the_others_learn(folder: pathlib.Path, run: loaded_run.Run) -> None:
    found = encoder_weights.read(str(folder / "pretrained"))
    published = encoder.build_encoder(found.sizes, classes=2)
    encoder_weights.load(published, found)
    trained = run.model.get_layer("encoder")
    for name, learns in {"embedding": False, "positions": False, "block_1": False, "block_2": True}.items():
        pairs = zip(trained.get_layer(name).get_weights(), published.get_layer(name).get_weights(), strict=True)
        assert all(np.array_equal(*pair) for pair in pairs) != learns, name


def test_the_activations_are_gone_after_the_training(folder: pathlib.Path) -> None:
    assert not list((folder / "run").rglob("*.f16"))


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    folder: pathlib.Path, run: loaded_run.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = callbacks.EpochEnd.on_epoch_end

    def stop(self: callbacks.EpochEnd, epoch: int, logs: dict[str, float] | None = None) -> None:
        whole(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(callbacks.EpochEnd, "on_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train_encoder(folder)
    train_encoder(folder)
    again = loaded_run.open_run(folder / "stopped").model.get_layer("encoder")
    for first, second in zip(again.get_weights(), run.model.get_layer("encoder").get_weights(), strict=True):
        assert np.array_equal(first, second)


def train_encoder(folder: pathlib.Path) -> None:
    """Train the run's encoder alone, in this process and without the command line, which would catch an interrupt."""
    train_as(folder, "stopped", model="encoder")


def train_as(folder: pathlib.Path, name: str, **changes: object) -> config.Config:
    """Train a run, or go on with it, and return its settings."""
    settings = config.Config.smoke().replace(
        {
            "data": (str(folder / "texts.csv"),),
            "encoder": str(folder / "pretrained"),
            "encoder_length": 32,
            "encoder_frozen_blocks": 1,
            "epochs": 2,
            **changes,
        }
    )
    reviews = data.load(settings)
    (folder / name).mkdir(exist_ok=True)
    train.train(reviews, data.split(reviews, settings)[0], settings, files.RunFolder(folder / name))
    return settings


def test_a_student_learns_the_teachers_scores_and_is_served_without_it(
    texts: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The targets are half the labels and half the scores of a teacher that was trained on the same labels."""
    learnt: list[np.ndarray] = []
    whole = train.learn

    def learn(
        name: str, job: train.Job, network: keras.Model, rows: datasets.Arrays, held_out: datasets.Arrays
    ) -> None:
        whole(name, job, network, rows, held_out)
        learnt.append(rows.labels)

    monkeypatch.setattr(train, "learn", learn)
    train_as(texts, "student", model="ngram", teacher=True, teacher_share=0.5)
    labels, targets = learnt
    assert targets.shape == (len(labels), 2)
    assert targets.sum(axis=1) == pytest.approx(1)
    of_label = targets[np.arange(len(labels)), labels]
    assert 0.5 < of_label.min() <= of_label.max() < 1
    student = loaded_run.open_run(texts / "student")
    assert not student.features.pieces
    assert [layer.name for layer in student.model.layers if isinstance(layer, keras.Model)] == ["ngram"]


def test_the_teacher_is_no_member_of_the_ensemble() -> None:
    with pytest.raises(errors.InputError, match=r"teacher: expected networks without the encoder"):
        config.Config.smoke().replace({"members": ("encoder", "ngram"), "teacher": True})


def test_every_token_gets_the_integrated_gradients_of_its_pieces(run: loaded_run.Run) -> None:
    tokens = corpus.tokens_of("The plot wasn't good, 7 bad")
    ids, places = run.features.piece_places(tf.constant(tokens.tolist(), tf.string))
    network = run.model.get_layer("encoder")
    found = gradients.integrated_gradients(network, ids.numpy()[None], targets=np.array([1]))
    assert found.completeness_error[0] < 0.05
    expected = np.zeros(len(tokens))
    for value, place in zip(found.values[0], places.numpy(), strict=True):
        if place >= 0:
            expected[place] += value
    total = attribution.of_tokens(
        run,
        tf.constant(tokens.tolist(), tf.string),
        lambda name, ids: tf.constant(found.values[0]) if name == "encoder" else tf.zeros_like(ids, tf.float32),
    )
    average = run.model.get_layer("logits")
    factor = average.ensemble_weights[0] / average.temperatures[0] / run.decision.temperature
    assert np.asarray(total) == pytest.approx(factor * expected, rel=1e-4, abs=1e-6)


def test_the_tokens_joined_by_spaces_are_read_as_the_text_is(run: loaded_run.Run) -> None:
    texts = np.array(["It wasn't a bad film; don't miss it", "l'été, c'est n't", "isn't", "can't won't"], object)
    joined = np.array([" ".join(corpus.tokens_of(text)) for text in texts], object)
    scores = run.scores(np.concatenate([texts, joined]))
    assert scores[len(texts) :] == pytest.approx(scores[: len(texts)], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it wasn't good", ["it", "wasn", "'t", "good"]),
        ("it was n't good", ["it", "wasn", "'t", "good"]),
        ("the cast's", ["the", "cast", "'s"]),
        ("n't", ["n't"]),
        ("o'brien can't", ["o'brien", "can", "'t"]),
    ],
)
def test_apostrophes_are_given_to_the_encoder_as_people_write_them(text: str, expected: list[str]) -> None:
    found = preprocessing.as_written(preprocessing.tokenize(tf.constant(["x", text, "nʼt"])))
    assert [token.decode() for token in found[1].numpy()] == expected
    assert found[2].numpy().tolist() == [b"n't"]


@pytest.mark.slow
def test_the_run_is_exported_explained_and_its_card_names_the_origin(folder: pathlib.Path) -> None:
    """Export replays its golden inputs in a clean process, and fails where one differs."""
    assert __main__.main(["export", "--run-dir", str(folder / "run"), "--output-dir", str(folder / "bundles")]) == 0
    (bundle,) = (folder / "bundles" / "sentiment").iterdir()
    card = (bundle / "assets.extra" / "model_card.md").read_text()
    assert "the encoder fine-tuned from the folder pretrained" in card
    page = folder / "why.html"
    assert __main__.main(["explain", "--run-dir", str(folder / "run"), "a good film", "--output", str(page)]) == 0
    assert "good" in page.read_text()


def test_stored_activations_are_those_of_each_row_alone(tmp_path: pathlib.Path) -> None:
    found = encoders.random_weights()
    network = encoder.build_encoder(found.sizes, classes=2)
    lower, _ = encoder.split(network, frozen_blocks=1)
    rows = [np.array(row, np.int32) for row in ([2, 5, 3], [2, 3], [2, 7, 8, 9, 3])]
    part = datasets.Arrays(inputs={"pieces": datasets.Ragged.from_rows(rows)}, labels=np.array([0, 1, 0]))
    stored = encoding.activations(lower, part, tmp_path / "kept").inputs["activations"]
    assert isinstance(stored, datasets.Ragged)
    for number, row in enumerate(rows):
        alone = np.asarray(lower(row[None], training=False))[0]
        assert stored.take(np.array([number])).values == pytest.approx(alone, abs=2e-3)


def test_more_blocks_or_pieces_than_the_encoder_has_are_refused(folder: pathlib.Path) -> None:
    named = {"model": "encoder", "encoder": str(folder / "pretrained"), "encoder_length": 32}
    settings = config.Config.smoke().replace({**named, "encoder_frozen_blocks": 3})
    with pytest.raises(errors.InputError, match=r"encoder_frozen_blocks: expected at most 2.*Received: 3"):
        encoding.read(settings)
    settings = config.Config.smoke().replace({**named, "encoder_frozen_blocks": 1, "encoder_length": 65})
    with pytest.raises(errors.InputError, match=r"encoder_length: expected at most 64.*Received: 65"):
        encoding.read(settings)


@pytest.mark.parametrize("kind", ["Bert", "DistilBert"])
def test_a_preset_of_kerashub_in_a_folder_computes_what_its_backbone_does(kind: str, tmp_path: pathlib.Path) -> None:
    hub = pytest.importorskip("keras_hub")
    keras.utils.set_random_seed(1)
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 16}
    source = getattr(hub.models, f"{kind}Backbone")(vocabulary_size=len(VOCABULARY) + 1, **sizes)
    source.set_weights(
        [weight + np.random.default_rng(2).normal(0, 0.3, weight.shape) for weight in source.get_weights()]
    )
    source.save_to_preset(str(tmp_path))
    tokenizer = getattr(hub.tokenizers, f"{kind}Tokenizer")([*VOCABULARY, "[MASK]"], lowercase=True)
    tokenizer.save_to_preset(str(tmp_path))
    settings = config.Config.smoke().replace(
        {"model": "encoder", "encoder": f"hub:{tmp_path}", "encoder_length": 16, "encoder_frozen_blocks": 0}
    )
    found = encoding.read(settings)
    assert found is not None
    network = model.build_pretrained(found, settings, classes=2)
    pieces = np.array([[2, 9, 40, 3, 0, 0], [2, 5, 6, 7, 8, 3]], np.int32)
    given = {"token_ids": pieces, "padding_mask": (pieces > 0).astype(np.int32)}
    outputs = source({**given, "segment_ids": 0 * pieces} if kind == "Bert" else given, training=False)
    hidden = np.asarray(outputs["sequence_output"] if kind == "Bert" else outputs)
    real = (pieces > 0)[..., None]
    vectors = keras.Model(network.input, network.get_layer("average").output)(pieces, training=False)
    assert np.asarray(vectors) == pytest.approx((hidden * real).sum(axis=1) / real.sum(axis=1), abs=1e-5)


def test_a_preset_that_is_none_or_of_another_kind_is_refused(tmp_path: pathlib.Path) -> None:
    hub = pytest.importorskip("keras_hub")
    settings = config.Config.smoke().replace({"model": "encoder", "encoder": f"hub:{tmp_path / 'none'}"})
    with pytest.raises(
        errors.InputError, match=r"--encoder hub:.*expected a text preset.*model\.weights\.h5.*Received"
    ):
        encoding.read(settings)
    source = hub.models.BertBackbone(
        vocabulary_size=8, num_layers=1, num_heads=1, hidden_dim=4, intermediate_dim=4, max_sequence_length=8
    )
    source.save_to_preset(str(tmp_path / "cased"))
    cased = hub.tokenizers.BertTokenizer([*encoders.SPECIAL, "[MASK]", "a", "b", "c"], lowercase=False)
    cased.save_to_preset(str(tmp_path / "cased"))
    settings = settings.replace({"encoder": f"hub:{tmp_path / 'cased'}"})
    with pytest.raises(errors.InputError, match=r"reads lower-cased word pieces.*Received: BertBackbone"):
        encoding.read(settings)


def test_what_opens_a_run_has_the_encoders_layers_registered(folder: pathlib.Path) -> None:
    """In a process of its own: here other modules have registered them."""
    code = "import pathlib, sys; from apps.sentiment import run\n"
    code += "print(run.open_run(pathlib.Path(sys.argv[1])).settings.members)"
    finished = subprocess.run(
        [sys.executable, "-c", code, str(folder / "run")],
        env=helpers.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout.strip() == "('encoder', 'ngram')", finished.stderr
