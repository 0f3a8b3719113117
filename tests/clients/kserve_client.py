"""Ask a server with KServe's Python client, in both of its protocols; print what came back as JSON."""

import asyncio
import json
import sys

import numpy
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

URL = sys.argv[1]


async def ask() -> dict[str, object]:
    newer, older = (InferenceRESTClient(RESTConfig(protocol=name, timeout=30)) for name in ("v2", "v1"))
    found: dict[str, object] = {
        "live": await newer.is_server_live(URL),
        "ready": await newer.is_server_ready(URL) and await newer.is_model_ready(URL, "words"),
    }
    for binary in (True, False):
        text = InferInput("text", [2], "BYTES")
        text.set_data_from_numpy(numpy.array(["good film", "bad"], object), binary_data=binary)
        request = InferRequest(model_name="words", infer_inputs=[text], request_id="7")
        answer = await newer.infer(URL, request, model_name="words")
        labels = next(output for output in answer.outputs if output.name == "labels").as_numpy()
        found["binary" if binary else "json"] = [str(each) for each in labels]
    rows = await older.infer(URL, {"instances": ["good film", "bad"]}, model_name="words")
    found["rows"] = [row["labels"] for row in rows["predictions"]]
    return found


print(json.dumps(asyncio.run(ask())))
