"""The rival LitServe: its own batching in front of a SavedModel. Runs where `benchmarks.serving` says.

``python litserve_server.py SAVED_MODEL PORT``
"""

import sys

import litserve
import rows
import tensorflow as tf

# Without a wait, the default, it joins what waits already: of 0, 0.5, 2, 5 and 10 ms the fastest here.
BATCH_ROWS, BATCH_SECONDS = 32, 0.0


class Classifier(litserve.LitAPI):
    """One row a request, so that LitServe joins requests; TF Serving's JSON outside."""

    def setup(self, device: str) -> None:
        del device
        self.loaded = tf.saved_model.load(sys.argv[1])
        self.run = self.loaded.signatures["serving_default"]

    def decode_request(self, request: dict) -> dict:
        (row,) = request["instances"]
        return rows.values(row)

    def batch(self, inputs: list[dict]) -> list[dict]:
        return inputs

    def predict(self, inputs: list[dict]) -> dict:
        return rows.answer(self.run, inputs)

    def unbatch(self, output: dict) -> list[dict]:
        return rows.joined(output)

    def encode_response(self, output: dict) -> dict:
        return {"predictions": [output]}


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(max_batch_size=BATCH_ROWS, batch_timeout=BATCH_SECONDS), accelerator="cpu", workers_per_device=1
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
