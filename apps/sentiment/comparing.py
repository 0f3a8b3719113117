"""How runs of this app are compared: what names a text in ``predictions.parquet``, and which metrics."""

from shared.evaluation import summaries
from shared.runs import comparing

COMPARISON = comparing.App(
    keys=("text_sha256",),
    cluster="unit",
    truth=lambda _columns: ["label"],
    compare=comparing.classifiers(summaries.METRICS, positive_only=False),
)
