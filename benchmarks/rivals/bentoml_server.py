"""The rival BentoML: adaptive batching in front of a SavedModel. Runs where `benchmarks.serving` says.

``SAVED_MODEL=FOLDER bentoml serve bentoml_server:Classifier --port PORT``
"""

import os

import bentoml
import rows
import tensorflow as tf

BATCH_ROWS, LATENCY_MS = 32, 1000


# No line a request: ours writes none here either.
@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Classifier:
    """The list of instances is the batch that BentoML joins over requests."""

    def __init__(self) -> None:
        self.loaded = tf.saved_model.load(os.environ["SAVED_MODEL"])
        self.run = self.loaded.signatures["serving_default"]

    @bentoml.api(route="/predict", batchable=True, max_batch_size=BATCH_ROWS, max_latency_ms=LATENCY_MS)
    def predict(self, instances: list[dict]) -> list[dict]:
        return rows.joined(rows.answer(self.run, [rows.values(row) for row in instances]))
