"""Training steps of the detector beside an equal PyTorch network: step time and images a second, in one run.

``python -m benchmarks.driving_training [--image-size S] [--precision P] [--batch-size N]``. Both networks have the same
layers and as many weights, which is checked; both learn random pictures with the same simple loss and AdamW. On a GPU,
where there is one, ``--precision mixed_bfloat16`` is what it is made for. PyTorch runs in a process and an environment
of its own (``benchmarks.peers``); without it only the Keras side is measured, and it says so.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import peers

CLASSES, STEPS, WARM_UP = 6, 8, 3
RATE, DECAY = 1e-4, 0.01
# As apps.driving_perception.model has them, which PyTorch's environment cannot import; the weights are compared.
STRIDES, LARGEST_EXPONENT = (8, 16, 32), 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--peer", nargs=3, type=int, metavar=("ROWS", "HEIGHT", "WIDTH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        weights, step = torch_step(pictures(arguments.peer), brief=arguments.precision != "float32")
        peers.serve({"step": step}, {"weights": weights})
        return
    from apps.driving_perception import preprocessing
    from shared.training import runtime

    runtime.quiet_logs()
    runtime.configure(seed=0, deterministic=False, precision=arguments.precision)
    shape = (arguments.batch_size, *preprocessing.training_shape(arguments.image_size))
    weights, step = keras_step(pictures(shape))
    print(
        f"{shape[1]} x {shape[2]} pixels, batch {shape[0]}, {arguments.precision}, {os.cpu_count()} cores, {device()}"
    )
    seconds = list[tuple[float, float]]()
    given = (*map(str, shape), "--precision", arguments.precision)
    with peers.started("benchmarks.driving_training", peers.PYTHON, *given) as torch:
        theirs = torch.seconds("weights") if torch else weights
        if theirs != weights:
            raise SystemExit(f"expected equal networks. Received: weights {weights} and {theirs:.0f}")
        for _ in range(STEPS + WARM_UP):
            seconds.append((peers.timed(step), torch.seconds("step") if torch else float("nan")))
    ours, peer = (shape[0] / statistics.median(times) for times in zip(*seconds[WARM_UP:], strict=True))
    print(f"{weights:,} weights; Keras {ours:.1f} images/s" + (f"   PyTorch {peer:.1f} images/s" if torch else ""))
    print(f"ratio {ours / peer:.2f}" if torch else peers.how_to("torch==2.13.0 efficientnet-lite-pytorch==0.1.0"))


def pictures(shape: Sequence[int]) -> np.ndarray:
    """Return (rows, height, width, 3) float32 of random pixels in [0, 255]."""
    return np.random.default_rng(0).uniform(0, 255, (*shape, 3)).astype(np.float32)


def device() -> str:
    """Return what computes."""
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else "no GPU"


def keras_step(images: np.ndarray) -> tuple[int, Callable[[], object]]:
    """Return how many weights learn, and a step."""
    import keras
    import tensorflow as tf

    from apps.driving_perception import config, model

    settings = config.Config.default().replace({"pretrained": False, "drop_connect_rate": 0.0})
    network = model.build(settings, classes=CLASSES)

    def loss(_: Any, places: Any) -> Any:
        logits, boxes = places[..., :CLASSES], places[..., CLASSES : CLASSES + 4]
        return keras.ops.mean(keras.ops.square(logits)) + 1e-3 * keras.ops.mean(keras.ops.abs(boxes))

    network.compile(keras.optimizers.AdamW(RATE, weight_decay=DECAY), loss, jit_compile=False)
    inputs, nothing = tf.constant(images), tf.zeros((len(images), 1))
    return sum(int(np.prod(w.shape)) for w in network.trainable_weights), lambda: network.train_on_batch(
        inputs, nothing
    )


def torch_step(images: np.ndarray, *, brief: bool) -> tuple[int, Callable[[], object]]:
    """Return the same of PyTorch; ``brief`` computes in bfloat16 where PyTorch does so by itself."""
    import torch

    where = "cuda" if torch.cuda.is_available() else "cpu"
    network = torch_network().to(where, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    inputs = torch.tensor(images).permute(0, 3, 1, 2).to(where, memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(where, torch.bfloat16, enabled=brief):
            logits, boxes = network(inputs)
            loss = logits.square().mean() + 1e-3 * boxes.abs().mean()
        loss.backward()
        optimizer.step()
        if where == "cuda":
            torch.cuda.synchronize()

    return sum(weights.numel() for weights in network.parameters()), step


def torch_network() -> Any:
    """Return the app's detector in PyTorch: images to logits and corners of all places."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from torch import nn

    channels, depth, taps = 64, 2, {4: 40, 10: 112, 15: 320}

    def convolve(given: int, kernel: int, stride: int = 1) -> Any:
        conv = nn.Conv2d(given, channels, kernel, stride, padding=kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.SiLU())

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = EfficientNet.from_name("efficientnet-lite0", num_classes=2, drop_connect_rate=0.0)
            del self.base._conv_head, self.base._bn1, self.base._fc
            self.lateral = nn.ModuleList(convolve(given, 1) for given in taps.values())
            self.down = nn.ModuleList(convolve(channels, 3) for _ in range(2))
            self.narrower = nn.ModuleList(convolve(channels, 3, 2) for _ in range(2))
            self.up = nn.ModuleList(convolve(channels, 1) for _ in range(2))
            self.kernels = nn.ModuleList(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2 * depth)
            )
            self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2 * depth * len(STRIDES)))
            self.logits = nn.Conv2d(channels, CLASSES, 3, padding=1)
            self.sides = nn.Conv2d(channels, 4, 3, padding=1)
            self.factors = nn.Parameter(torch.ones(len(STRIDES)))

        def forward(self, images: Any) -> Any:
            x = self.base._swish(self.base._bn0(self.base._conv_stem((images - 127.0) / 128.0)))
            levels = []
            for number, block in enumerate(self.base._blocks):
                x = block(x)
                if number in taps:
                    levels.append(self.lateral[len(levels)](x))
            for i in (1, 0):
                wider = nn.functional.interpolate(levels[i + 1], scale_factor=2.0, mode="nearest")
                levels[i] = self.down[i](levels[i] + wider)
            for i in (1, 2):
                levels[i] = self.up[i - 1](levels[i] + self.narrower[i - 1](levels[i - 1]))
            places = [self._places(level, number) for number, level in enumerate(levels)]
            return tuple(torch.cat(parts, dim=1) for parts in zip(*places, strict=True))

        def _places(self, x: Any, number: int) -> tuple[Any, Any]:
            logits, sides = (self._branch(x, branch, number) for branch in range(2))
            logits, sides = self.logits(logits).float(), self.sides(sides).float()
            stride, limit = STRIDES[number], LARGEST_EXPONENT
            down, across = ((torch.arange(size, device=x.device) + 0.5) * stride for size in (x.shape[2], x.shape[3]))
            centres = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
            reach = torch.exp(torch.clamp(sides * self.factors[number], -limit, limit)).permute(0, 2, 3, 1) * stride
            corners = torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], dim=-1)
            return logits.permute(0, 2, 3, 1).flatten(1, 2), corners.flatten(1, 2)

        def _branch(self, x: Any, branch: int, number: int) -> Any:
            for i in range(depth):
                row = branch * depth + i
                x = nn.functional.silu(self.norms[row * len(STRIDES) + number](self.kernels[row](x)))
            return x

    return Detector()


if __name__ == "__main__":
    main()
