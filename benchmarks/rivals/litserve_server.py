"""The rival LitServe: its own batching in front of a SavedModel. Runs where `benchmarks.serving` says.

``python litserve_server.py SAVED_MODEL PORT``
"""

import base64
import sys

import litserve
import tensorflow as tf

# Without a wait, the default, it joins what waits already: of 0, 0.5, 2, 5 and 10 ms the fastest here.
BATCH_ROWS, BATCH_SECONDS = 32, 0.0


class Classifier(litserve.LitAPI):
    """One image a request, so that LitServe joins requests; TF Serving's JSON outside."""

    def setup(self, device: str) -> None:
        del device
        self.loaded = tf.saved_model.load(sys.argv[1])
        self.run = self.loaded.signatures["serving_default"]

    def decode_request(self, request: dict) -> bytes:
        (row,) = request["instances"]
        return base64.b64decode(row["image_bytes"]["b64"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, inputs: list[bytes]) -> dict:
        return {name: tensor.numpy() for name, tensor in self.run(image_bytes=tf.constant(inputs)).items()}

    def unbatch(self, output: dict) -> list[dict]:
        rows = zip(*(values.tolist() for values in output.values()), strict=True)
        return [dict(zip(output, row, strict=True)) for row in rows]

    def encode_response(self, output: dict) -> dict:
        texts = {name: value.decode() if isinstance(value, bytes) else value for name, value in output.items()}
        return {"predictions": [texts]}


if __name__ == "__main__":
    server = litserve.LitServer(
        Classifier(max_batch_size=BATCH_ROWS, batch_timeout=BATCH_SECONDS), accelerator="cpu", workers_per_device=1
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
