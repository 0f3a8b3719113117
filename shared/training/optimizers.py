"""Gradient descent as settings name it. Every schedule is a pure function of the optimizer's step counter."""

from collections.abc import Mapping
from typing import Any

import keras

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "one_cycle")

# Biases and normalization scales do not overfit by being large: decaying them only hurts.
UNDECAYED = ("bias", "gamma", "beta")
ONE_CYCLE_WARMUP_FRACTION = 0.3


def build_schedule(name: str, *, peak: float, steps: int, warmup_fraction: float = 0.0) -> Any:
    """Return the learning rate as a function of the step: linear warm-up to ``peak``, then the named course.

    All three are one Keras schedule. ``constant`` decays to the peak itself, ``cosine`` to 0 (Loshchilov and
    Hutter 2017, "SGDR"), and ``one_cycle`` rises from peak / 25 and falls to peak / 10,000 (Smith and Topin
    2018, "Super-Convergence", without the opposite cycle of the momentum).

    Args:
        name: One of `SCHEDULES`.
        peak: Highest learning rate.
        steps: Steps in the whole training.
        warmup_fraction: Part of the steps in which the rate rises, in [0, 1); 0 means 0.3 for ``one_cycle``.
    """
    if name == "constant" and warmup_fraction == 0:
        return peak
    if name == "one_cycle":
        warmup_fraction = warmup_fraction or ONE_CYCLE_WARMUP_FRACTION
    courses = {"constant": (0.0, 1.0), "cosine": (0.0, 0.0), "one_cycle": (peak / 25, 1e-4)}
    start, final_fraction = courses[name]
    warmup_steps = round(steps * warmup_fraction)
    return keras.optimizers.schedules.CosineDecay(
        start if warmup_steps else peak,
        decay_steps=max(steps - warmup_steps, 1),
        alpha=final_fraction,
        warmup_target=peak if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


def build_optimizer(
    name: str,
    *,
    learning_rate: Any,
    weight_decay: float = 0.0,
    gradient_clip_norm: float | None = None,
    ema_momentum: float | None = None,
    layer_rates: Mapping[str, float] | None = None,
) -> Any:
    """Return a Keras optimizer.

    Args:
        name: One of `OPTIMIZERS`; ``momentum`` is Nesterov's with 0.9.
        learning_rate: A number or a schedule.
        weight_decay: Decoupled from the gradient (Loshchilov and Hutter 2019), so ``adam`` with it is
            ``adamw``, and ``adamw`` without it takes Keras' 0.004; biases and normalization scales are left
            alone.
        gradient_clip_norm: Highest norm of all gradients together; None = no clipping.
        ema_momentum: Keep an exponential moving average of the weights with this momentum; None = none.
        layer_rates: Layer's name -> what the learning rate is multiplied by there (adam and adamw); others 1.

    Raises:
        ValueError: Rates for layers and another optimizer.
    """
    if layer_rates and name in ("sgd", "momentum"):
        raise ValueError(f"Expected adam or adamw where layers have rates of their own. Received: {name!r}")
    common = {
        "learning_rate": learning_rate,
        "global_clipnorm": gradient_clip_norm,
        "use_ema": ema_momentum is not None,
        "ema_momentum": ema_momentum or 0.0,
        "weight_decay": weight_decay or (0.004 if name == "adamw" else None),
    }
    if name in ("sgd", "momentum"):
        nesterov = name == "momentum"
        optimizer = keras.optimizers.SGD(momentum=0.9 if nesterov else 0.0, nesterov=nesterov, **common)
    else:
        optimizer = DiscriminativeAdam(layer_rates, **common) if layer_rates else keras.optimizers.Adam(**common)
    if common["weight_decay"]:
        optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
    return optimizer


class DiscriminativeAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam with a learning rate of its own for each layer (Howard and Ruder 2018, ULMFiT, section 3.2).

    Gradients that are scaled would not do: Adam divides by their size.

    Args:
        layer_rates: Name of a layer of the model -> factor of the learning rate; others 1.
        options: Of ``keras.optimizers.Adam``.
    """

    def __init__(self, layer_rates: Mapping[str, float], **options: Any) -> None:
        super().__init__(**options)
        self.layer_rates = dict(layer_rates)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take Adam's step with the variable's own learning rate."""
        path = self._trainable_variables[self._get_variable_index(variable)].path
        factor = self.layer_rates.get(path.partition("/")[0], 1.0)
        super().update_step(gradient, variable, learning_rate * factor)
