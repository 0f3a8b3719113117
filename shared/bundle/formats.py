"""What a bundle may hold beside its SavedModel: engines, by name, and ``display.json`` for a page.

Nothing heavy: command lines read this.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from shared import errors, machine

FILES = {"onnx": "network.onnx", "openvino": "network.xml", "litert": "network.tflite"}
INT8 = "-int8"
DISPLAY_FILE = "display.json"
RUN_WITH = {"onnx": ("onnxruntime",), "openvino": ("openvino",), "litert": ("ai_edge_litert",)}
# What a runtime must be told for the outputs that export compared, by its own names; ``engine.json`` says it.
SETTINGS: Mapping[str, Mapping[str, str]] = {
    # On processors with AVX2 and without VNNI the usual kernels add products of 8 bits in 16, which overflow: 42 of a
    # range of 255 in a small network, 1 with this. Others are not touched (onnxruntime_session_options_config_keys.h).
    "onnx": {"session.x64quantprecision": "1"},
    # Where a processor has bfloat16, OpenVINO would use it: three digits instead of seven.
    "openvino": {"INFERENCE_PRECISION_HINT": "f32"},
    "litert": {},
}
_WRITTEN_WITH = {
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "openvino": ("onnx", "tf2onnx", "onnxruntime", "openvino"),
    "litert": ("ai_edge_litert",),
}


def chosen(formats: Sequence[str], *, int8: bool) -> tuple[str, ...]:
    """Return the engines that ``export --format ... [--int8]`` writes beside the SavedModel.

    Args:
        formats: ``saved-model`` or formats of ``FILES``.
        int8: Whether each is also written in 8 bits.

    Raises:
        errors.InputError: 8 bits of no engine are wanted, or a package is missing.

    >>> chosen(["saved-model"], int8=False)
    ()
    """
    names = [name for name in dict.fromkeys(formats) if name in FILES]
    if int8 and not names:
        raise errors.InputError(f"--int8: expected an engine in --format ({', '.join(FILES)}). Received: none")
    for name in names:
        require(name, _WRITTEN_WITH, f"--format {name}")
    return tuple(each for name in names for each in ((name, name + INT8) if int8 else (name,)))


def kind(name: str) -> str:
    """Return an engine's format.

    >>> kind("onnx-int8")
    'onnx'
    """
    return name.removesuffix(INT8)


def require(name: str, needed: Mapping[str, Sequence[str]], option: str) -> None:
    """Raise ``errors.InputError`` where a package that a format needs is not installed."""
    absent = machine.missing(needed[name])
    if absent:
        raise errors.InputError(
            f"{option}: expected the extra `engines` (pip install 'fieldnets[engines]'). Received: no "
            f"{', '.join(absent)}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Display:
    """What a page shows beside the answers of a model.

    Attributes:
        title: The model's name for people.
        input: What the question is: one image, one text, or a row of columns.
        threshold: Score from which the last class, or a box, is answered; None where no one number decides.
        threshold_rule: How it was chosen, in words.
        class_names: What the scores or the boxes are of.
        not_for: The limit of use, one sentence.
        synthetic: Whether training saw simulated data only.
        reason_names: What the indices in ``reasons`` mean, where the model gives reasons.
    """

    title: str
    input: Literal["image", "text", "columns"]
    threshold: float | None
    threshold_rule: str
    class_names: Sequence[str]
    not_for: str
    synthetic: bool
    reason_names: Sequence[str] = ()

    def to_json(self, metrics: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the file's content; ``metrics`` is what ``shared.report.metrics.of_run`` returns."""
        return {
            **vars(self),
            "class_names": list(self.class_names),
            "reason_names": list(self.reason_names),
            "headline": headline(metrics),
        }


def headline(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the first metric of a metrics document with its interval and the number of rows that it is of.

    Returns:
        ``metric``, ``value``, ``low``, ``high`` and ``n``; None where there are no figures of this model.
    """
    if document is None:
        return None
    name, interval = next(iter(document["metrics"].items()))
    return {"metric": name, **{key: interval[key] for key in ("value", "low", "high")}, "n": document["data"]["n"]}
