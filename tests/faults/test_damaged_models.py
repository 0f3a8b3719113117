"""A model or a checkpoint that is damaged, or is something else, is bad input: one error that names the file."""

import io
import json
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from shared import errors
from shared.models import building
from shared.training import checkpoints

pytestmark = pytest.mark.tensorflow


def a_network(units: int = 3) -> keras.Model:
    image = keras.Input((4,), name="columns")
    return keras.Model(image, keras.layers.Dense(units, name="logits")(image))


def another_zip(names: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return stream.getvalue()


def damaged(content: bytes) -> Iterator[bytes]:
    """Yield what is no longer the file: cut, empty, of something else, or with another byte in its middle."""
    yield from (content[: int(share * len(content))] for share in (0, 0.01, 0.3, 0.6, 0.9, 0.999))
    yield from (b"<html>not found</html>", b"\x00" * len(content), content[::-1], b"PK\x03\x04", b"{}")
    yield from (another_zip({}), another_zip({"config.json": b"{", "metadata.json": b"{}", "model.weights.h5": b""}))
    yield another_zip({"state.npy": b"\x93NUMPY"})
    for place in range(100, len(content), max(1, len(content) // 25)):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        yield bytes(flipped)


def outcome(load: Callable[[], Any]) -> tuple[Any, str]:
    """Return what is loaded, or None and what the error says."""
    try:
        return load(), ""
    except errors.InputError as error:
        return None, str(error)


def test_a_damaged_model_is_an_error_that_names_the_file_or_is_the_same_model(tmp_path: pathlib.Path) -> None:
    network, path = a_network(), tmp_path / "model.keras"
    network.save(path)
    expected = network.get_weights()[0]
    refused = 0
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        found, said = outcome(lambda: building.load(path, logits=3))
        if found is None:
            assert re.fullmatch(rf"{re.escape(str(path))}: expected .*Received: .+", said)
            refused += 1
        else:
            # Some bytes of a zip file decide nothing, such as the time of a member.
            np.testing.assert_array_equal(found.get_weights()[0], expected)
    assert refused >= 18


def test_a_model_of_other_classes_is_refused(tmp_path: pathlib.Path) -> None:
    a_network(units=2).save(tmp_path / "model.keras")
    with pytest.raises(errors.InputError, match=r"model\.keras: expected a model that ends in 3 logits.*\(None, 2\)"):
        building.load(tmp_path / "model.keras", logits=3)
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(errors.InputError, match=re.escape(str(tmp_path / "folder.keras"))):
        building.load(tmp_path / "folder.keras")


@pytest.fixture(name="compiled")
def _compiled() -> keras.Model:
    network = a_network()
    network.compile(optimizer="adam", loss="mse")
    network.optimizer.build(network.trainable_variables)
    return network


def test_a_damaged_checkpoint_is_an_error_that_says_what_to_do(tmp_path: pathlib.Path, compiled: keras.Model) -> None:
    path, identity = tmp_path / "checkpoint.npz", {"seed": 1}
    state = checkpoints.State(identity=identity, history=[{"loss": 0.5}], best_epoch=1, best_value=0.3)
    checkpoints.save(path, model=compiled, state=state)
    expected = compiled.get_weights()[0]
    refused = 0
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        compiled.set_weights([np.zeros_like(each) for each in compiled.get_weights()])
        found, said = outcome(lambda: checkpoints.load(path, model=compiled, identity=identity))
        if found is None:
            assert said.startswith(f"{path}: expected a checkpoint; delete the file")
            refused += 1
        else:
            np.testing.assert_array_equal(compiled.get_weights()[0], expected)
            assert found.history == [{"loss": 0.5}]
    assert refused >= 18


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("history", 3),
        ("best_epoch", -3),
        ("seconds", None),
        ("finished", "yes"),
        ("variables", [[-1]]),
        ("identity", []),
    ],
)
def test_what_a_checkpoint_says_is_checked(
    tmp_path: pathlib.Path, compiled: keras.Model, field: str, wrong: Any
) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoints.save(path, model=compiled, state=checkpoints.State(identity={}))
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["state"] = np.array(json.dumps({**json.loads(str(arrays["state"])), field: wrong}))
    np.savez(path, **arrays)
    with pytest.raises(errors.InputError, match=rf"checkpoint; delete the file .* state: {field}"):
        checkpoints.load(path, model=compiled, identity={})
