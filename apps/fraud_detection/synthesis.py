"""Synthetic transactions and a GAN's idea of what is genuine: a conditional tabular WGAN-GP.

Numbers are drawn as their places among the training rows, so that skewed amounts and counts look alike to the
networks; names (categorical columns) are not drawn. Trained on training rows only.

The second half says what the drawn rows are worth: what trees learn from them, and whether they are copies.
"""

import pathlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn import neighbors

from apps.fraud_detection import baselines, config, jobs, layers, model
from apps.fraud_detection.layers import Quantiles
from apps.fraud_detection.transactions import CLASS_NAMES
from shared import files
from shared.evaluation import classification
from shared.models import building, gan
from shared.training import datasets, workers
from shared.training import gan as gan_training

UNITS = (128, 128)
# The networks see both kinds about equally often; rows beyond this many teach little more.
MOST_GENUINE = 12_000
GENUINE, FRAUD = range(len(CLASS_NAMES))
# Of each kind, in the check for copies.
MOST_COMPARED = 5_000


def fit_classifier(name: str, job: jobs.Job) -> keras.Model:
    """Train the GAN, keep its generator in the run folder, and return the critic as a classifier.

    Samples that the critic finds unlike genuine ones are anomalies: the discriminator half of the score of Schlegl et
    al. 2017, "Unsupervised Anomaly Detection with Generative Adversarial Networks". Log-odds are fitted on validation.
    """
    numbers, labels = job.arrays["train"]["numbers"], job.labels["train"]
    quantiles = Quantiles.learn(numbers, job.inputs.typical)
    rows = balanced_rows(labels, seed=job.settings.seed)
    places, kinds = quantiles.places(numbers[rows]), labels[rows].astype(np.int32)
    with workers.apart():
        generator = build_generator(numbers.shape[1], job.settings)
        critic = build_critic(numbers.shape[1])
        gan_training.fit(
            generator,
            critic,
            datasets.Arrays(inputs={"sample": places}, labels=kinds),
            settings=gan_training.GanSettings(
                epochs=job.settings.gan_epochs, batch_size=256, critic_steps=3, seed=job.settings.seed
            ),
            distance=lambda samples, drawn: distance(places, kinds, samples, drawn),
            outputs=job.outputs(name),
        )
    save(generator, quantiles, generator_folder(job.folder, job.prefix))
    slope, offset = jobs.fit_score(classifier(critic, quantiles, job, slope=1.0, offset=0.0), job)
    return classifier(critic, quantiles, job, slope=slope, offset=offset)


def balanced_rows(labels: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.int64]:
    """Return row numbers, some genuine ones once and the frauds repeated until there are as many."""
    rng = np.random.default_rng(seed)
    genuine, fraud = (np.flatnonzero(labels == kind) for kind in (GENUINE, FRAUD))
    genuine = rng.permutation(genuine)[:MOST_GENUINE]
    return np.concatenate([genuine, np.resize(rng.permutation(fraud), len(genuine))])


def build_generator(columns: int, settings: config.Config) -> keras.Model:
    """Build a network from ``noise`` (batch, latent) and ``label`` (batch,) to places (batch, columns) in [-1, 1]."""
    noise = keras.Input((settings.latent_size,), name="noise")
    label = keras.Input((), dtype="int32", name="label")
    kind = keras.layers.Embedding(len(CLASS_NAMES), 8, name="kind")(label)
    x = keras.layers.Concatenate(name="wish")([noise, kind])
    x = building.hidden(x, units=UNITS, activation="relu", normalization="layer")
    places = keras.layers.Dense(columns, activation="tanh", dtype="float32", name="places")(x)
    return keras.Model({"noise": noise, "label": label}, places, name="generator")


def build_critic(columns: int) -> keras.Model:
    """Build a network from ``sample`` (batch, columns) and ``label`` (batch,) to a score (batch, 1)."""
    sample = keras.Input((columns,), name="sample")
    label = keras.Input((), dtype="int32", name="label")
    x = building.hidden(sample, units=UNITS, activation="relu")
    return keras.Model(
        {"sample": sample, "label": label}, gan.project(x, label, classes=len(CLASS_NAMES)), name="critic"
    )


def distance(
    real: npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer[Any]],
    drawn: npt.NDArray[np.float32],
    drawn_labels: npt.NDArray[np.integer[Any]],
) -> float:
    """Return how far drawn places lie from real ones, mean over the classes.

    Mean over the columns of the Wasserstein-1 distance (mean difference of sorted values), plus the mean difference of
    the correlations: a generator with the right columns and the wrong combinations is no better than shuffling.
    """
    found = []
    for kind in np.unique(labels):
        a, b = real[labels == kind], drawn[drawn_labels == kind]
        levels = np.linspace(0, 1, 101)
        columns = np.abs(np.quantile(a, levels, axis=0) - np.quantile(b, levels, axis=0)).mean()
        found.append(columns + np.abs(_correlation(a) - _correlation(b)).mean())
    return float(np.mean(found))


def _correlation(places: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    centred = places - places.mean(axis=0, dtype=np.float64)
    scaled = centred / np.maximum(centred.std(axis=0), 1e-6)
    return np.asarray(scaled.T @ scaled / len(places), np.float64)


def classifier(critic: keras.Model, quantiles: Quantiles, job: jobs.Job, *, slope: float, offset: float) -> keras.Model:
    """Return ``numbers`` (batch, columns) -> logits (batch, 2): how little the critic takes a row for a genuine one."""
    tensors = model.keras_inputs(job.inputs, ("numbers",))
    places = layers.Places(quantiles.to_json(), name="places")(tensors["numbers"])
    score = layers.AsGenuine(critic, name="as_genuine")(places)
    return keras.Model(
        model.wanted(tensors), layers.PlattLogits(slope, offset, name="logits")(score), name=model.layer_name("gan")
    )


def generator_folder(folder: files.RunFolder, prefix: str) -> pathlib.Path:
    """Return where the generator of a fold is kept."""
    return folder.path / "gan" / prefix.rstrip("/")


def save(generator: keras.Model, quantiles: Quantiles, path: pathlib.Path) -> None:
    """Write ``generator.keras`` and ``quantiles.json``."""
    files.write_json(path / "quantiles.json", quantiles.to_json())
    with files.atomic(path / "generator.keras") as temporary:
        generator.save(temporary)


def draw(path: pathlib.Path, labels: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.float32]:
    """Return (n, columns) synthetic numbers, one row of each given class, from a kept generator."""
    generator = building.load(path / "generator.keras")
    quantiles = Quantiles.from_json(files.read_json(path / "quantiles.json"), where=str(path / "quantiles.json"))
    return quantiles.numbers(gan_training.generate(generator, labels.astype(np.int32), seed=seed))


def compare(
    synthetic: npt.NDArray[np.float32],
    train: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    test: npt.NDArray[np.float32],
    *,
    seed: int,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return training set -> scores (n,) of ``test``, by the same trees trained on real, synthetic and both rows.

    Args:
        synthetic: (m, columns), drawn with the classes of ``labels``.
        train: (m, columns) real rows.
        labels: (m,) in {0, 1}.
        test: (n, columns) real rows.
        seed: Of the trees.
    """
    sets = {
        "real": (train, labels),
        "synthetic": (synthetic, labels),
        "real and synthetic": (np.concatenate([train, synthetic]), np.concatenate([labels, labels])),
    }
    return {
        name: baselines.fit_trees({"numbers": numbers}, kinds, seed=seed)({"numbers": test})
        for name, (numbers, kinds) in sets.items()
    }


def memorisation(
    synthetic: npt.NDArray[np.float32], train: npt.NDArray[np.float32], holdout: npt.NDArray[np.float32], *, seed: int
) -> dict[str, float]:
    """Compare how near synthetic rows lie to training rows with how near unseen real rows do.

    Distances to the nearest training row over standardized columns, of at most ``MOST_COMPARED`` rows of each kind.

    Args:
        synthetic: (n, columns) float, NaN for missing.
        train: (m, columns) all rows that the generator learnt from.
        holdout: (k, columns) real rows that it did not see.
        seed: Of the choice of rows.

    Returns:
        ``synthetic_distance`` and ``holdout_distance``, medians; ``copies`` and ``holdout_copies``, the share nearer
        than a hundredth of the median holdout distance; ``closeness``, the probability that a synthetic row is nearer
        than an unseen real one, ties half: 0.5 is alike, more is copying (Meehan et al. 2020,
        https://arxiv.org/abs/2004.05675).
    """
    rng = np.random.default_rng(seed)
    scale = _scale(train)
    known = neighbors.NearestNeighbors(n_neighbors=1).fit(scale(train))

    def nearest(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        chosen = rng.permutation(len(rows))[:MOST_COMPARED]
        return np.asarray(known.kneighbors(scale(rows[chosen]))[0][:, 0], np.float64)

    drawn, unseen = nearest(synthetic), nearest(holdout)
    near = np.median(unseen) / 100
    kinds = np.repeat([1, 0], [len(drawn), len(unseen)])
    return {
        "synthetic_distance": float(np.median(drawn)),
        "holdout_distance": float(np.median(unseen)),
        "copies": float((drawn < near).mean()),
        "holdout_copies": float((unseen < near).mean()),
        "closeness": classification.auroc(kinds, -np.concatenate([drawn, unseen])),
    }


def _scale(train: npt.NDArray[np.float32]) -> Any:
    known = np.nan_to_num(train)
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-6)
    return lambda rows: (np.nan_to_num(rows) - mean) / deviation
