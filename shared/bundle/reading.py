"""A serving bundle on disk: finding its newest version, checking its manifest, running and replaying it.

``python -m shared.bundle.reading BUNDLE`` replays its golden inputs, as export does in a clean process.
"""

import base64
import dataclasses
import json
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shared import errors, files

EXTRA = "assets.extra"
MANIFEST = f"{EXTRA}/manifest.json"
# Of the manifest; see ``signing``.
SIGNATURE = f"{MANIFEST}.sig"
# Begins the name of the folder that `export` fills.
UNFINISHED = ".export-"
# As TF Serving reads them; str.isdigit would take characters that int() does not.
# What numbers may differ by on another processor or with other kernels than those of export: sums in another order.
TOLERANCE_ELSEWHERE = 1e-4

_NUMBER = re.compile("[0-9]{1,18}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """A loaded bundle. It keeps the SavedModel alive: signatures of a collected model cannot run.

    Attributes:
        path: The version folder, ``<repository>/<name>/<version>``.
        name: The model's name.
        version: Its integer version.
        loaded: The object that ``tf.saved_model.load`` returned.
    """

    path: pathlib.Path
    name: str
    version: int
    loaded: Any

    def extra(self, filename: str) -> dict[str, Any]:
        """Read a JSON file of ``assets.extra``."""
        return files.read_json(self.path / EXTRA / filename)

    @property
    def digest(self) -> str:
        """The SHA-256 of the manifest, which holds those of all other files."""
        return files.sha256(self.path / MANIFEST)

    @property
    def signatures(self) -> list[str]:
        """The signatures' names."""
        return sorted(self.loaded.signatures)

    def inputs(self, signature: str = "serving_default") -> dict[str, Any]:
        """Return the signature's inputs, by name: name -> ``tf.TensorSpec``."""
        return dict(sorted(self.loaded.signatures[signature].structured_input_signature[1].items()))

    def outputs(self, signature: str = "serving_default") -> dict[str, Any]:
        """Return the signature's outputs, by name (a loaded one has no order of its own): name -> ``tf.TensorSpec``."""
        return dict(sorted(self.loaded.signatures[signature].structured_outputs.items()))

    def run(
        self, inputs: Mapping[str, npt.ArrayLike], *, signature: str = "serving_default"
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a signature on a batch.

        Args:
            inputs: One array per input name; text as ``str`` or ``bytes``.
            signature: Which of the bundle's signatures.

        Raises:
            errors.InputError: The input names are not the signature's.
        """
        import tensorflow as tf

        specs = self.inputs(signature)
        if set(inputs) != set(specs):
            raise errors.InputError(f"expected the inputs {sorted(specs)}. Received: {sorted(inputs)}")
        tensors = {name: tf.constant(values, specs[name].dtype) for name, values in inputs.items()}
        outputs = self.loaded.signatures[signature](**tensors)
        return {name: as_text(tensor.numpy()) for name, tensor in outputs.items()}


def load(path: pathlib.Path) -> Bundle:
    """Check a bundle's manifest and load it.

    Args:
        path: A version folder, a model folder (its newest version is taken), or a repository of one model.

    Raises:
        errors.InputError: There is no bundle there.
        errors.GateError: A file is missing, was added, or is not what the manifest says.
    """
    return _open(find(path))


def _open(folder: pathlib.Path) -> Bundle:
    """Check and load a version folder, wherever it lies."""
    check_manifest(folder)
    import tensorflow as tf

    with files.plainly_named(folder) as plain:
        loaded = tf.saved_model.load(str(plain))
    return Bundle(path=folder, name=folder.parent.name, version=number(folder), loaded=loaded)


def find(path: pathlib.Path) -> pathlib.Path:
    """Return the version folder that ``path`` means.

    Raises:
        errors.InputError: There is none, or a repository holds several models.
    """
    path = path.resolve()
    if (path / MANIFEST).is_file():
        refuse_unfinished(path)
        return path
    own = versions(path)
    if own:
        return own[-1]
    models = model_folders(path)
    if len(models) == 1:
        return versions(models[0])[-1]
    found = f"models {', '.join(model.name for model in models)}" if models else "no bundle"
    raise errors.InputError(f"{path}: expected a bundle that `export` wrote. Received: {found}")


def model_folders(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the folders below a repository that hold versions; a hidden one is an export that was killed, or none."""
    return [child for child in sorted(path.glob("*/")) if not child.name.startswith(".") and versions(child)]


def refuse_unfinished(folder: pathlib.Path) -> None:
    """Raise ``errors.InputError`` where a version folder lies where ``export`` writes it before it is checked."""
    if folder.parent.name.startswith(UNFINISHED):
        raise errors.InputError(
            f"{folder}: expected a finished bundle. Received: what an `export` that was killed has left; export again"
        )


def versions(model_folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the version folders of a model, oldest first: those named by a number, leading zeros allowed.

    Of two that mean the same number, such as ``2`` and ``002``, the first in the alphabet's order counts. What a killed
    export left has none.
    """
    if model_folder.name.startswith(UNFINISHED):
        return []
    found = {
        int(child.name): child
        for child in sorted(model_folder.glob("*/"), reverse=True)
        if _NUMBER.fullmatch(child.name) and (child / MANIFEST).is_file()
    }
    return [found[each] for each in sorted(found)]


def number(folder: pathlib.Path) -> int:
    """Return the version that a folder is.

    Raises:
        errors.InputError: Its name is no number.
    """
    if not _NUMBER.fullmatch(folder.name):
        raise errors.InputError(f"{folder}: expected a version folder, named by a number. Received: {folder.name!r}")
    return int(folder.name)


def write_manifest(folder: pathlib.Path, about: Mapping[str, Any]) -> None:
    """Write ``manifest.json``: what the bundle is, and the SHA-256 of every other file in it but its signature."""
    files.write_json(folder / MANIFEST, {**about, "files": _hashes(folder)})


def check_manifest(folder: pathlib.Path) -> None:
    """Compare every file with the manifest.

    Raises:
        errors.GateError: A file is missing, was added, or has other content; the message names it.
    """
    expected, found = files.read_json(folder / MANIFEST).get("files"), _hashes(folder)
    if not isinstance(expected, dict):
        raise errors.GateError(f"{folder / MANIFEST}: expected a mapping 'files'. Received: {expected!r}")
    for name in sorted(set(expected) | set(found)):
        if expected.get(name) != found.get(name):
            state = "is missing" if name not in found else "was added" if name not in expected else "was changed"
            raise errors.GateError(
                f"{folder}: expected the files that the manifest lists. Received: {name} {state} after export"
            )


def encode(values: npt.NDArray[Any]) -> list[Any]:
    """Return an array as JSON: numbers and text as they are, bytes as ``{"b64": ...}``."""
    return [_encode_one(value) for value in values.tolist()]


def decode(values: list[Any]) -> npt.NDArray[Any]:
    """Turn what ``encode`` wrote back into an array."""
    if values and isinstance(values[0], dict):
        return np.array([base64.b64decode(value["b64"]) for value in values], object)
    if values and isinstance(values[0], str):
        return np.array(values, object)
    found = np.asarray(values)
    return found.astype(object) if found.dtype.kind == "U" else found


def _encode_one(value: Any) -> Any:
    return {"b64": base64.b64encode(value).decode("ascii")} if isinstance(value, bytes) else value


def as_text(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn TensorFlow's bytes into text: what a bundle returns as a string is a name."""
    if values.dtype != object:
        return values
    return np.array([value.decode("utf-8") for value in values.ravel()], object).reshape(values.shape)


def _hashes(folder: pathlib.Path) -> dict[str, str]:
    apart = (folder / MANIFEST, folder / SIGNATURE)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path not in apart)
    return {path.relative_to(folder).as_posix(): files.sha256(path) for path in paths}


def replay(loaded: Bundle, *, tolerance: float | None = None) -> dict[str, float]:
    """Run the golden inputs and compare with the golden outputs.

    Args:
        loaded: The bundle.
        tolerance: Largest difference; None: that of the golden file, for the machine and settings of `export`.

    Returns:
        The largest difference of each numeric output, absolute or of the expected number where that is above 1, and
        ``rows``.

    Raises:
        errors.GateError: A number differs by more than the tolerance, or a text differs at all.
    """
    golden = loaded.extra("golden.json")
    tolerance = golden["tolerance"] if tolerance is None else tolerance
    inputs = {name: decode(values) for name, values in golden["inputs"].items()}
    outputs = loaded.run(inputs)
    worst = {"rows": float(len(next(iter(inputs.values()))))}
    for name, values in golden["outputs"].items():
        expected = decode(values)
        worst[name] = _difference(name, expected, outputs[name], tolerance=tolerance)
    return worst


def _difference(name: str, expected: npt.NDArray[Any], received: npt.NDArray[Any], *, tolerance: float) -> float:
    if expected.shape != received.shape:
        raise errors.GateError(f"{name}: expected shape {expected.shape}. Received: {received.shape}")
    if expected.dtype in (object, bool):
        differing = np.unique(np.nonzero(expected != received)[0])
        if len(differing):
            row = int(differing[0])
            raise errors.GateError(
                f"{name}: {len(differing)} rows differ, first in golden row {row}: "
                f"expected {expected[row]!r}. Received: {received[row]!r}"
            )
        return 0.0
    # Of numbers above 1, such as pixels, the share: they have no more digits than others.
    scale = np.maximum(np.abs(expected), 1.0)
    difference = float(np.max(np.abs(expected - received) / scale, initial=0.0))
    if not difference <= tolerance:
        raise errors.GateError(
            f"{name}: expected outputs within {tolerance}. Received: a difference of {difference:.3g}"
        )
    return difference


def replay_at(folder: pathlib.Path) -> dict[str, float]:
    """Open a version folder, also one that ``export`` has not published yet, and `replay` it."""
    return replay(_open(folder.resolve()))


def main() -> int:
    """Print the differences as JSON; exit code 3 when the bundle does not answer as it should."""
    try:
        print(json.dumps(replay_at(pathlib.Path(sys.argv[1]))))
    except errors.FieldnetsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
