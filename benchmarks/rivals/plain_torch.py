"""The suite's networks written down in plain PyTorch, for benchmarks: logits of (batch, ...), images channels first."""

from collections.abc import Sequence

import torch
from torch import nn

# EfficientNet-Lite0: blocks, kernel size, strides, expansion, channels of each stage.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def weights(network: nn.Module) -> int:
    """Count the trainable weights, without the second bias that PyTorch gives an LSTM."""
    spare = sum(
        value.numel()
        for part in network.modules()
        if isinstance(part, nn.LSTM)
        for name, value in part.named_parameters()
        if name.startswith("bias_hh")
    )
    return sum(value.numel() for value in network.parameters()) - spare


def dense(size: int, units: Sequence[int], classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for wide in units:
        layers += [nn.Linear(size, wide), nn.ReLU()]
        size = wide
    return nn.Sequential(*layers, nn.Linear(size, classes))


def cnn(channels: int, filters: Sequence[int], classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    for wide in filters:
        layers += [
            nn.Conv2d(channels, wide, 3, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Recurrent(nn.Module):
    """A bidirectional layer and the maximum over time."""

    def __init__(self, cell: str, size: int, units: int, classes: int) -> None:
        super().__init__()
        self.cell = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](size, units, batch_first=True, bidirectional=True)
        self.logits = nn.Linear(2 * units, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        states, _ = self.cell(rows)
        logits: torch.Tensor = self.logits(states.amax(dim=1))
        return logits


def recurrent(cell: str, size: int, units: int, classes: int) -> nn.Module:
    return Recurrent(cell, size, units, classes)


def lite0(channels: int, classes: int) -> nn.Module:
    layers: list[nn.Module] = [*_convolve(channels, 32, 3, strides=2), nn.ReLU6()]
    channels = 32
    for blocks, kernel, strides, expansion, wide in STAGES:
        for number in range(blocks):
            layers.append(Block(channels, wide, kernel, strides=1 if number else strides, expansion=expansion))
            channels = wide
    head = [nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers, *_convolve(channels, 1280, 1), *head)


class Block(nn.Module):
    """Widen the channels, filter each of them, narrow them again."""

    def __init__(self, channels: int, wide: int, kernel: int, *, strides: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        widen = [*_convolve(channels, inner, 1), nn.ReLU6()] if expansion > 1 else []
        each = _convolve(inner, inner, kernel, strides=strides, groups=inner)
        self.body = nn.Sequential(*widen, *each, nn.ReLU6(), *_convolve(inner, wide, 1))
        self.shortcut = strides == 1 and channels == wide

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(images)
        return found + images if self.shortcut else found


def _convolve(channels: int, wide: int, kernel: int, *, strides: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, wide, kernel, strides, padding=kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(wide, eps=1e-3)]
