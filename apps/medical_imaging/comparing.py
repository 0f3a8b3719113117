"""How runs of this app are compared: what names an image in ``predictions.parquet``, and which metrics."""

from typing import Any

import numpy as np

from apps.medical_imaging import evaluate, evaluate_multi_label
from shared import errors
from shared.evaluation import multilabel
from shared.runs import comparing


def compare(first: comparing.Tested, second: comparing.Tested, clusters: comparing.Ints) -> comparing.Compared:
    """Compare two runs of one class per image, or of several findings.

    Raises:
        errors.InputError: The runs have other classes, or another task, or labels of the same images differ.
    """
    tasks = ["label" in each.table for each in (first, second)]
    if tasks[0] != tasks[1]:
        raise errors.InputError("compare: expected runs of the same task. Received: one class per image, and findings")
    if not tasks[0]:
        return _findings(first, second, clusters)
    metrics = evaluate.BINARY_METRICS if len(comparing.class_names(first)) == 2 else evaluate.SEVERAL_METRICS
    return comparing.classifiers(metrics, positive_only=True)(first, second, clusters)


def _findings(first: comparing.Tested, second: comparing.Tested, clusters: comparing.Ints) -> comparing.Compared:
    names = comparing.class_names(first)
    if names != comparing.class_names(second):
        raise errors.InputError(
            f"compare: expected the findings of {first.name} ({', '.join(names)}) in {second.name}, too. Received: "
            f"{', '.join(comparing.class_names(second))}"
        )

    def columns(run: comparing.Tested, prefix: str) -> np.ndarray:
        return run.table[[f"{prefix}_{name}" for name in names]].to_numpy(np.float64)

    labels = columns(first, "label")
    own, other = ((columns(each, "score"), columns(each, "present")) for each in (first, second))
    options: dict[str, Any] = {"units": clusters, "metrics": evaluate_multi_label.METRICS, "resamples": first.resamples}
    return comparing.Compared(
        first=multilabel.summarize(labels, own[0], present=own[1], **options).macro,
        second=multilabel.summarize(labels, other[0], present=other[1], **options).macro,
        difference=multilabel.compare(labels, (other[0], own[0]), present=(other[1], own[1]), **options).macro,
    )


COMPARISON = comparing.App(
    keys=("image",),
    cluster="patient",
    truth=lambda columns: [name for name in columns if name == "label" or name.startswith("label_")],
    compare=compare,
)
