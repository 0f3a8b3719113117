"""Training steps of the detector beside an equal PyTorch network: step time and images a second, in one run.

``python -m benchmarks.driving_training [--image-size S] [--precision P] [--batch-size N]``. Both networks have the same
layers and as many weights, which is checked; both learn random pictures with the same simple loss and AdamW. On a GPU,
where there is one, ``--precision mixed_bfloat16`` is what it is made for. The PyTorch side needs ``pip install torch
efficientnet-lite-pytorch==0.1.0``, and no triton, whose LLVM ends a process that has TensorFlow's too; without it only
the Keras side is measured, and it says so.
"""

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CLASSES, STEPS, WARM_UP = 6, 8, 3
RATE, DECAY = 1e-4, 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image-size", type=int, default=416)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    arguments = parser.parse_args()
    from apps.driving_perception import preprocessing
    from shared.training import runtime

    runtime.quiet_logs()
    runtime.configure(seed=0, deterministic=False, precision=arguments.precision)
    shape = (arguments.batch_size, *preprocessing.training_shape(arguments.image_size), 3)
    images = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    steps = {"Keras": keras_step(images)}
    if importlib.util.find_spec("torch") and importlib.util.find_spec("efficientnet_lite_pytorch"):
        steps["PyTorch"] = torch_step(images, brief=arguments.precision != "float32")
        if steps["Keras"][0] != steps["PyTorch"][0]:
            raise SystemExit(
                f"expected equal networks. Received: weights {steps['Keras'][0]} and {steps['PyTorch'][0]}"
            )
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(STEPS + WARM_UP):
        for name, (_, step) in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    print(
        f"{shape[1]} x {shape[2]} pixels, batch {shape[0]}, {arguments.precision}, {os.cpu_count()} cores, {device()}"
    )
    middle = {name: statistics.median(times[WARM_UP:]) for name, times in seconds.items()}
    for name, value in middle.items():
        print(f"{name}: {steps[name][0]:,} weights; {1000 * value:.0f} ms a step, {shape[0] / value:.1f} images/s")
    if "PyTorch" in middle:
        print(f"ratio of images/s, Keras to PyTorch: {middle['PyTorch'] / middle['Keras']:.2f}")
    else:
        print("PyTorch or efficientnet-lite-pytorch is not installed: no ratio.")


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

    from apps.driving_perception import model

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
            self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2 * depth * len(model.STRIDES)))
            self.logits = nn.Conv2d(channels, CLASSES, 3, padding=1)
            self.sides = nn.Conv2d(channels, 4, 3, padding=1)
            self.factors = nn.Parameter(torch.ones(len(model.STRIDES)))

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
            stride, limit = model.STRIDES[number], model.LARGEST_EXPONENT
            down, across = ((torch.arange(size, device=x.device) + 0.5) * stride for size in (x.shape[2], x.shape[3]))
            centres = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
            reach = torch.exp(torch.clamp(sides * self.factors[number], -limit, limit)).permute(0, 2, 3, 1) * stride
            corners = torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], dim=-1)
            return logits.permute(0, 2, 3, 1).flatten(1, 2), corners.flatten(1, 2)

        def _branch(self, x: Any, branch: int, number: int) -> Any:
            for i in range(depth):
                row = branch * depth + i
                x = nn.functional.silu(self.norms[row * len(model.STRIDES) + number](self.kernels[row](x)))
            return x

    return Detector()


if __name__ == "__main__":
    main()
