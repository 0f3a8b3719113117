"""Cuts a model at a layer, so that what the layer computes can be looked at, varied and differentiated by."""

from typing import Any

import keras


def cut(model: keras.Model, layer_path: str) -> tuple[keras.Model, keras.Model]:
    """Split a functional model into what computes a layer's output, and what maps (input, that output) to the logits.

    Both share the model's layers and weights.

    Args:
        model: One input, one output.
        layer_path: Name of a layer; of one inside a model that is a layer itself: ``backbone/features``.

    Raises:
        ValueError: No such layer, or the model that holds it is called other than once.
    """
    name, _, rest = layer_path.partition("/")
    if rest:
        return _cut_inside(model, name, rest)
    found = model.get_layer(name).output
    return keras.Model(model.inputs[0], found), keras.Model([model.inputs[0], found], model.outputs[0])


def _cut_inside(model: keras.Model, name: str, rest: str) -> tuple[keras.Model, keras.Model]:
    """Put both halves of the inner model in its place, which shows what is between them to the outer graph."""
    inner = model.get_layer(name)
    head, tail = cut(inner, rest)
    found = []

    def call(layer: Any, *args: Any, **options: Any) -> Any:
        if layer is not inner:
            return layer(*args, **options)
        (inputs,) = keras.tree.flatten(args)
        found.append(head(inputs))
        return tail([inputs, found[-1]])

    opened = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    if len(found) != 1:
        raise ValueError(f"Expected {model.name} to call {name} once. Received: {len(found)} calls")
    return keras.Model(opened.inputs[0], found[0]), keras.Model([opened.inputs[0], found[0]], opened.outputs[0])
