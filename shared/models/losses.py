"""Losses on logits with integer labels or a teacher's scores, by the names that settings use: what Keras lacks."""

import typing
from typing import Any

import keras
from keras import ops

LossName = typing.Literal["cross_entropy", "focal", "mse"]


def by_name(name: LossName, *, classes: int, label_smoothing: float = 0.0, focusing: float = 2.0) -> keras.losses.Loss:
    """Return the named loss of integer labels (batch,), or of shares (batch, classes), and logits (batch, classes).

    Args:
        name: ``cross_entropy``; ``focal``, which lets rows that are already right count less; ``mse``, the
            mean squared error of the probabilities (Brier score).
        classes: Number of classes, at least 2.
        label_smoothing: Part of each label spread evenly over the classes, in [0, 1).
        focusing: Focal loss only: the power gamma of the doubt (1 - p); 0 = cross-entropy.

    Raises:
        ValueError: An argument is outside its range.
    """
    names = typing.get_args(LossName)
    if name not in names:
        raise ValueError(f"Expected name to be one of {', '.join(names)}. Received: {name!r}")
    if name == "mse":
        return BrierScore(classes, label_smoothing=label_smoothing)
    gamma = focusing if name == "focal" else 0.0
    return FocalCrossEntropy(classes, focusing=gamma, label_smoothing=label_smoothing)


@keras.saving.register_keras_serializable(package="fieldnets")
class FocalCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy with label smoothing and focusing for integer labels; Keras has each alone.

    ``-sum_c t_c (1 - p_c)^gamma log p_c`` for the smoothed one-hot target t and p = softmax(logits): Lin et
    al. 2017 (https://arxiv.org/abs/1708.02002), smoothing as Szegedy et al. 2016
    (https://arxiv.org/abs/1512.00567).

    Raises:
        ValueError: Fewer than two classes, ``label_smoothing`` outside [0, 1) or ``focusing`` below 0.
    """

    def __init__(
        self,
        classes: int,
        *,
        focusing: float = 0.0,
        label_smoothing: float = 0.0,
        name: str = "cross_entropy",
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        _check(classes, label_smoothing)
        if focusing < 0:
            raise ValueError(f"Expected focusing of at least 0. Received: {focusing}")
        self.classes = classes
        self.focusing = focusing
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Map labels (batch,), or shares (batch, classes), and logits (batch, classes) to losses (batch,)."""
        target = _target(y_true, classes=self.classes, label_smoothing=self.label_smoothing)
        log_probability = ops.log_softmax(y_pred, axis=-1)
        terms = target * log_probability
        if self.focusing:
            # 1 - p may be 0, where the gradient of a root (focusing < 1) is infinite.
            doubt = ops.maximum(1 - ops.exp(log_probability), keras.config.epsilon())
            terms = terms * ops.power(doubt, self.focusing)
        return -ops.sum(terms, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        own = {"classes": self.classes, "focusing": self.focusing, "label_smoothing": self.label_smoothing}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="fieldnets")
class BrierScore(keras.losses.Loss):  # type: ignore[misc]
    """Mean over the classes of ``(softmax(logits)_c - t_c)^2`` for integer labels: Brier 1950.

    Raises:
        ValueError: Fewer than two classes, or ``label_smoothing`` outside [0, 1).
    """

    def __init__(
        self,
        classes: int,
        *,
        label_smoothing: float = 0.0,
        name: str = "mse",
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        _check(classes, label_smoothing)
        self.classes = classes
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Map labels (batch,) and logits (batch, classes) to losses (batch,)."""
        target = _target(y_true, classes=self.classes, label_smoothing=self.label_smoothing)
        return ops.mean(ops.square(ops.softmax(y_pred, axis=-1) - target), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the loss."""
        return {**super().get_config(), "classes": self.classes, "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="fieldnets")
class MaskedBinaryCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Binary cross-entropy of several labels per row; those that are NaN do not count.

    The sum over a row's known labels is divided by the number of all labels, so that each known label
    weighs the same whichever row it stands in.
    """

    def __init__(
        self,
        *,
        name: str = "masked_binary_cross_entropy",
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Map labels in [0, 1] or NaN and logits, both (batch, labels), to losses (batch,)."""
        known = ops.logical_not(ops.isnan(y_true))
        # The NaN must be gone before the arithmetic: 0 * NaN is NaN, in the gradient too.
        target = ops.where(known, y_true, ops.zeros_like(y_true))
        terms = ops.softplus(y_pred) - target * y_pred
        return ops.mean(ops.where(known, terms, ops.zeros_like(terms)), axis=-1)


def _target(y_true: Any, *, classes: int, label_smoothing: float) -> Any:
    """Return what the probabilities should be, (batch, classes): a distribution is one already."""
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == 2 and y_true.shape[1] == classes:
        shares = ops.cast(y_true, "float32")
    else:
        shares = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), classes)
    return shares * (1 - label_smoothing) + label_smoothing / classes


def _check(classes: int, label_smoothing: float) -> None:
    if classes < 2:
        raise ValueError(f"Expected at least 2 classes. Received: {classes}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"Expected label_smoothing to be in [0, 1). Received: {label_smoothing}")
