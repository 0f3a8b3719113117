"""Requests that no honest client sends: made from honest ones by breaking them, the same ones for the same seed."""

import json
import random
from collections.abc import Iterator
from typing import Any

BROKEN_TEXTS = [
    "",
    "{",
    "[",
    "null",
    '{"instances": [',
    '{"instances": NaN}',
    '{"a": 1e999}',
    "\x00",
    "\ufeff{}",
    "9" * 5000,
]
ODD_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1e308, -1e308, 10**400, 0.1, "", "a", "\x00", "\ud800", "x" * 3000, [], {}, [[]]),
    *([None], [[["deep"]]], {"b64": "!"}, {"b64": "YQ"}, {"b64": 3}, {"b64": None, "more": 1}, {"text": {"text": "a"}}),
    *(["a", 1], {"": ""}, [{}] * 50, ["a"] * 3000, {"__class__": "os.system"}),
]
PATHS = [
    *("/v1/models/tiny:predict", "/v1/models/tiny:classify", "/v2/models/tiny/infer", "/v1/models/columns:predict"),
    *(
        "/v2/models/columns/infer",
        "/v1/models/tiny/versions/1:predict",
        "/v1/models/tiny/versions/99999999999999999999:predict",
    ),
    *(
        "/v1/models/tiny/labels/x:predict",
        "/v1/models/%00:predict",
        "/v1/models/../../etc/passwd",
        "/v2/models/a%2f..%2fb/infer",
    ),
    *("/v1/models//metadata", "/v2/models/tiny/versions/-1", "/page/..%2f..%2fsecret", "/", "/metrics", "/nothing"),
]


def honest() -> list[dict[str, Any]]:
    """Return valid bodies of all kinds."""
    numbers = {"amount": 1.5, "past": [1, 2], "shop": "a"}
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}
    return [
        {"instances": ["good", {"text": "bad"}, {"b64": "YQ=="}]},
        {"inputs": {"text": ["good"]}, "signature_name": "serving_default"},
        {"examples": [{"text": "good"}], "context": {}},
        {"inputs": [tensor], "id": "1", "parameters": {}, "outputs": [{"name": "labels"}]},
        {"instances": [numbers]},
        {"inputs": {"amount": [1], "past": [[1, 2]], "shop": ["a"]}},
    ]


def requests(count: int, seed: int) -> Iterator[tuple[str, str, bytes, dict[str, str]]]:
    """Yield method, path, body and headers of broken requests."""
    chance = random.Random(seed)
    for _ in range(count):
        body = _body(chance)
        headers = {
            "Content-Type": chance.choice(["application/json", "text/plain", "multipart/form-data; boundary=", ""])
        }
        if chance.random() < 0.1:
            headers["Inference-Header-Content-Length"] = chance.choice(["0", "-1", "9" * 30, "x", str(len(body) // 2)])
        if chance.random() < 0.05:
            headers["X-Request-ID"] = chance.choice(["", "a" * 500, "<script>"])
        method = chance.choice(["POST"] * 12 + ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
        yield method, chance.choice(PATHS), body, headers


def _body(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.1:
        return chance.choice(BROKEN_TEXTS).encode("utf-8", "surrogatepass")
    if kind < 0.15:
        return chance.randbytes(chance.randrange(200))
    body = chance.choice(honest())
    for _ in range(chance.randrange(1, 4)):
        body = _broken(body, chance)
    text = json.dumps(body).encode("utf-8", "surrogatepass")
    if kind > 0.9:
        place = chance.randrange(len(text) + 1)
        text = text[:place] + chance.randbytes(chance.randrange(1, 4)) + text[place + chance.randrange(3) :]
    return text


def _broken(value: Any, chance: random.Random) -> Any:
    """Return a copy with one part replaced, removed, doubled or put elsewhere."""
    if chance.random() < 0.25 or not isinstance(value, dict | list) or not value:
        return chance.choice(ODD_VALUES)
    if isinstance(value, list):
        index = chance.randrange(len(value))
        changed = [*value[:index], _broken(value[index], chance), *value[index + 1 :]]
        return chance.choice([changed, changed, value[:index] + value[index + 1 :], value * 2])
    key = chance.choice(sorted(value))
    rest = {name: content for name, content in value.items() if name != key}
    return chance.choice([{**rest, key: _broken(value[key], chance)}] * 3 + [rest, {**rest, key + "x": value[key]}])
