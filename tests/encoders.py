"""A small encoder with random weights, and the folder that Hugging Face's ``save_pretrained`` would write of it."""

import json
import pathlib

import numpy as np

from shared.models import encoder, encoder_weights

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def random_weights(
    *, vocabulary_size: int = 12, vocabulary: list[str] | None = None, positions: int = 16
) -> encoder_weights.Pretrained:
    """Return two blocks of width 8 with weights that are drawn, large enough that every one of them matters."""
    pieces = vocabulary or [*SPECIAL, *(f"p{number}" for number in range(vocabulary_size - len(SPECIAL)))]
    sizes = encoder.Sizes(vocabulary_size=len(pieces), positions=positions, blocks=2, width=8, heads=2, hidden_units=16)
    generator = np.random.default_rng(3)

    def draw(*shape: int) -> np.ndarray:
        return generator.normal(0, 0.5, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": draw(len(pieces), 8),
        "embeddings.position_embeddings.weight": draw(positions, 8),
        "embeddings.token_type_embeddings.weight": draw(2, 8),
        "embeddings.LayerNorm.weight": 1 + draw(8),
        "embeddings.LayerNorm.bias": draw(8),
    }
    kernels = {
        **{f"attention.self.{part}": (8, 8) for part in ("query", "key", "value")},
        "attention.output.dense": (8, 8),
        "intermediate.dense": (16, 8),
        "output.dense": (8, 16),
    }
    for block in range(2):
        name = f"encoder.layer.{block}"
        for kernel, shape in kernels.items():
            weights[f"{name}.{kernel}.weight"], weights[f"{name}.{kernel}.bias"] = draw(*shape), draw(shape[0])
        for normalization in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights[f"{name}.{normalization}.weight"], weights[f"{name}.{normalization}.bias"] = 1 + draw(8), draw(8)
    return encoder_weights.Pretrained(
        name="random", sizes=sizes, vocabulary=pieces, weights=weights, origin="drawn for a test"
    )


def write_folder(folder: pathlib.Path, found: encoder_weights.Pretrained, *, model_type: str = "bert") -> pathlib.Path:
    """Write an encoder as Hugging Face does, and return the folder."""
    sizes = found.sizes
    described = {
        "model_type": model_type,
        "hidden_act": "gelu",
        "vocab_size": sizes.vocabulary_size,
        "max_position_embeddings": sizes.positions,
        "num_hidden_layers": sizes.blocks,
        "hidden_size": sizes.width,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.hidden_units,
        "layer_norm_eps": sizes.epsilon,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "vocab.txt").write_text("\n".join(found.vocabulary) + "\n")
    entries, data = {}, b""
    for name, values in found.weights.items():
        ends = [len(data), len(data) + values.nbytes]
        entries[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": ends}
        data += values.astype("<f4").tobytes()
    header = json.dumps(entries).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    return folder
