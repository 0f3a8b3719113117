"""Encoders of texts out of KerasHub, by preset: BERT and DistilBERT that read lower-cased word pieces.

A preset is a name that KerasHub fetches, an address, or a folder. Its weights go into the network of ``encoder``, so
that nothing of KerasHub is needed to open a run or a bundle.
"""

import contextlib
import sys
from typing import Any

import numpy as np

from shared import config, errors
from shared.models import encoder, encoder_weights, packages

# Of KerasHub's backbones those that compute what ``encoder`` does.
_KINDS = ("BertBackbone", "DistilBertBackbone")
_FILES = "config.json, model.weights.h5, tokenizer.json and assets/tokenizer/vocabulary.txt"


def read_preset(name: str) -> encoder_weights.Pretrained:
    """Return the encoder of ``hub:PRESET``.

    Raises:
        errors.InputError: KerasHub or the preset is not to be had, or is of another kind.
    """
    hub, preset = packages.require_kerashub("--encoder"), name.removeprefix(config.PRESET)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # KerasHub tells there what it fetches.
            backbone = hub.models.Backbone.from_preset(preset)
            tokenizer = hub.tokenizers.Tokenizer.from_preset(preset)
    except (OSError, ValueError) as error:
        raise errors.InputError(
            f"--encoder {name}: expected a text preset of KerasHub and a network to fetch it through; without one "
            f"place its {_FILES} in a folder and give hub:FOLDER. Received: {error}"
        ) from None
    kind = type(backbone).__name__
    if kind not in _KINDS or not getattr(tokenizer, "lowercase", False):
        raise errors.InputError(
            f"--encoder {name}: expected a preset of {' or '.join(_KINDS)} that reads lower-cased word pieces, such as "
            f"bert_tiny_en_uncased or distil_bert_base_en_uncased. Received: {kind} with {type(tokenizer).__name__}"
        )
    return encoder_weights.Pretrained(
        name=name,
        sizes=_sizes(backbone),
        vocabulary=list(tokenizer.get_vocabulary()),
        weights=_weights(backbone),
        origin=f"KerasHub's preset {preset}; its licence is its author's",
    )


def _sizes(backbone: Any) -> encoder.Sizes:
    return encoder.Sizes(
        vocabulary_size=backbone.vocabulary_size,
        positions=backbone.max_sequence_length,
        blocks=backbone.num_layers,
        width=backbone.hidden_dim,
        heads=backbone.num_heads,
        hidden_units=backbone.intermediate_dim,
        approximate_gelu=type(backbone).__name__ == "BertBackbone",
    )


def _weights(backbone: Any) -> dict[str, np.ndarray]:
    """Return a backbone's weights by Hugging Face's names; kernels are turned to (out, in)."""
    words, positions, segment = _embeddings(backbone)
    found = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": positions,
        "embeddings.token_type_embeddings.weight": segment,
        **_pair("embeddings.LayerNorm", backbone.get_layer("embeddings_layer_norm")),
    }
    for number in range(backbone.num_layers):
        block, name = backbone.get_layer(f"transformer_layer_{number}"), f"encoder.layer.{number}"
        attention = block._self_attention_layer
        parts = {"query": attention.query_dense, "key": attention.key_dense, "value": attention.value_dense}
        for part, layer in parts.items():
            found |= _product(f"{name}.attention.self.{part}", layer, inputs=backbone.hidden_dim)
        products = {
            "attention.output.dense": (attention.output_dense, backbone.hidden_dim),
            "intermediate.dense": (block._feedforward_intermediate_dense, backbone.hidden_dim),
            "output.dense": (block._feedforward_output_dense, backbone.intermediate_dim),
        }
        for part, (layer, inputs) in products.items():
            found |= _product(f"{name}.{part}", layer, inputs=inputs)
        found |= _pair(f"{name}.attention.output.LayerNorm", block._self_attention_layer_norm)
        found |= _pair(f"{name}.output.LayerNorm", block._feedforward_layer_norm)
    return found


def _embeddings(backbone: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the vectors of pieces, positions and segments; DistilBERT has no segments."""
    if type(backbone).__name__ == "BertBackbone":
        names = ("token_embedding", "position_embedding", "segment_embedding")
        words, positions, segments = (np.asarray(backbone.get_layer(name).get_weights()[0]) for name in names)
        return words, positions, segments
    words, positions = backbone.get_layer("token_and_position_embedding").get_weights()[:2]
    return words, positions, np.zeros_like(words[:1])


def _product(name: str, layer: Any, *, inputs: int) -> dict[str, np.ndarray]:
    """Return a layer's kernel, whose heads stand apart in attention, as (out, in), and its bias."""
    kernel, bias = layer.get_weights()
    return {f"{name}.weight": np.reshape(kernel, (inputs, -1)).T, f"{name}.bias": np.ravel(bias)}


def _pair(name: str, layer: Any) -> dict[str, np.ndarray]:
    scale, offset = layer.get_weights()
    return {f"{name}.weight": scale, f"{name}.bias": offset}
