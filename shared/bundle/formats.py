"""The engines that a bundle may hold beside its SavedModel, by name. Nothing heavy: command lines read this."""

from collections.abc import Mapping, Sequence

from shared import errors, machine

FILES = {"onnx": "network.onnx", "openvino": "network.xml", "litert": "network.tflite"}
INT8 = "-int8"
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
