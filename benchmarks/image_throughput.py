"""Decoding radiographs for training beside the bare decoder; training EfficientNet-Lite0 beside the same in PyTorch.

The PyTorch side needs ``pip install torch==2.13.0 efficientnet-lite-pytorch==0.1.0`` (CPU); without it only the Keras
side is measured, and it says so. ``python -m benchmarks.image_throughput``
"""

import importlib.util
import io
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

FILES, SIDE, SIZE, ROUNDS = 400, 512, 224, 5
BATCH, STEPS = 32, 6


def main() -> None:
    from shared.training import runtime

    runtime.quiet_logs()
    ours, bare = decoding()
    print(f"decode {FILES} grey JPEGs and resize {SIDE} to {SIZE} pixels, {os.cpu_count()} cores; median of {ROUNDS}")
    print(f"app {ours:7.0f} images/s   bare tf.io.decode_jpeg + resize {bare:7.0f} images/s   ratio {ours / bare:.2f}")
    steps = {"Keras-TensorFlow": keras_step()}
    if importlib.util.find_spec("torch") and importlib.util.find_spec("efficientnet_lite_pytorch"):
        steps["PyTorch"] = torch_step()
    seconds = {name: [] for name in steps}
    for _ in range(STEPS + 2):
        for name, step in steps.items():
            seconds[name].append(timed(step))
    speeds = {name: BATCH / statistics.median(times[2:]) for name, times in seconds.items()}
    print(f"train EfficientNet-Lite0, {SIZE} pixels, batch {BATCH}, Adam, float32; median of {STEPS} steps")
    print("   ".join(f"{name} {speed:.1f} images/s" for name, speed in speeds.items()))
    if len(speeds) == 2:
        print(f"ratio {speeds['Keras-TensorFlow'] / speeds['PyTorch']:.2f}")
    else:
        print("PyTorch or efficientnet-lite-pytorch is not installed: no ratio.")


def decoding() -> tuple[float, float]:
    """Return images per second of the app's decoder and of the bare one, in turns."""
    import tensorflow as tf

    from apps.medical_imaging import preprocessing

    generator = np.random.default_rng(0)
    encoded = [jpeg(generator) for _ in range(FILES)]
    tensor = tf.constant(encoded)

    def one(data: Any) -> Any:
        image = tf.io.decode_jpeg(data, channels=1)
        resized = tf.image.resize(tf.cast(image, tf.float32), (SIZE, SIZE), antialias=True)
        return tf.cast(tf.round(resized), tf.uint8)

    def bare() -> None:
        images = tf.data.Dataset.from_tensor_slices(tensor).map(one, num_parallel_calls=tf.data.AUTOTUNE)
        for _ in images.batch(256):
            pass

    def ours() -> None:
        for start in range(0, FILES, 256):
            preprocessing.load(encoded[start : start + 256], size=SIZE, channels=1)

    times = [(timed(ours), timed(bare)) for _ in range(ROUNDS + 1)][1:]
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    return FILES / first, FILES / second


def jpeg(generator: np.random.Generator) -> bytes:
    """Return a smooth grey picture: noise would make decoding slower than real images do."""
    coarse = Image.fromarray(generator.integers(0, 256, (32, 32), np.uint8))
    buffer = io.BytesIO()
    coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def timed(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def keras_step() -> Callable[[], object]:
    import keras
    import tensorflow as tf

    from shared.models import efficientnet

    network = efficientnet.build_efficientnet_lite(input_shape=(SIZE, SIZE, 3), classes=2, drop_connect_rate=0.0)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = batch()
    tensors = tf.constant(images), tf.constant(labels)
    return lambda: network.train_on_batch(*tensors)


def torch_step() -> Callable[[], object]:
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0", num_classes=2, drop_connect_rate=0.0).train()
    optimizer = torch.optim.Adam(network.parameters())
    loss = torch.nn.CrossEntropyLoss()
    images, labels = batch()
    inputs, targets = torch.tensor(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels, dtype=torch.long)

    def step() -> None:
        optimizer.zero_grad()
        loss(network((inputs - 127) / 128), targets).backward()
        optimizer.step()

    return step


def batch() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.random((BATCH, SIZE, SIZE, 3), np.float32) * 255, generator.integers(0, 2, BATCH)


if __name__ == "__main__":
    main()
