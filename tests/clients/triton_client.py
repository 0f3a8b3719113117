"""Ask a server as code written for Triton does, with tritonclient's defaults; print what came back as JSON."""

import json
import sys

import numpy
import tritonclient.http as triton

client = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))


def ask(texts, *, binary_data=True, outputs=None, **options):
    text = triton.InferInput("text", [len(texts)], "BYTES")
    text.set_data_from_numpy(numpy.array(texts, object), binary_data=binary_data)
    asked = None if outputs is None else [triton.InferRequestedOutput(name, **outputs) for name in ("labels", "scores")]
    answer = client.infer("words", [text], outputs=asked, **options)
    labels = [each.decode() for each in answer.as_numpy("labels")]
    return [labels, answer.as_numpy("scores").tolist(), answer.as_numpy("scores").dtype.name]


texts = [b"good film", "né bad".encode()]
image = triton.InferInput("image_bytes", [1], "BYTES")
image.set_data_from_numpy(numpy.array([b"\xff\xd8\x00raw"], object))
found = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready() and client.is_model_ready("words") and client.is_model_ready("words", "1"),
    "extensions": client.get_server_metadata()["extensions"],
    "inputs": client.get_model_metadata("words")["inputs"],
    "default": ask(texts),
    "named": ask(texts, outputs={}),
    "json in": ask([text.decode() for text in texts], binary_data=False),
    "id": client.infer("files", [image], request_id="7").get_response()["id"],
    "image": client.infer("files", [image]).as_numpy("size").tolist(),
    "version": ask(texts, model_version="1"),
}
for coding in ("gzip", "deflate"):
    found[coding] = ask(texts, request_compression_algorithm=coding, response_compression_algorithm=coding)
try:
    ask(texts, model_version="9")
except triton.InferenceServerException as error:
    found["refused"] = [error.status(), error.message()]
print(json.dumps(found))
