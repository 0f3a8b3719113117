"""Decoding radiographs for training beside the bare decoder; training EfficientNet-Lite0 beside the same in PyTorch.

PyTorch runs in a process and an environment of its own (``benchmarks.peers``); without it only the Keras side is
measured, and it says so. ``python -m benchmarks.image_throughput``
"""

import io
import os
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import peers

FILES, SIDE, SIZE, ROUNDS = 400, 512, 224, 5
BATCH, STEPS = 32, 6


def main() -> None:
    if "--peer" in sys.argv:
        peers.serve({"step": torch_step()})
        return
    from shared.training import runtime

    runtime.quiet_logs()
    ours, bare = decoding()
    print(f"decode {FILES} grey JPEGs and resize {SIDE} to {SIZE} pixels, {os.cpu_count()} cores; median of {ROUNDS}")
    print(f"app {ours:7.0f} images/s   bare tf.io.decode_jpeg + resize {bare:7.0f} images/s   ratio {ours / bare:.2f}")
    step, seconds = keras_step(), list[tuple[float, float]]()
    with peers.started("benchmarks.image_throughput", peers.PYTHON) as torch:
        for _ in range(STEPS + 2):
            seconds.append((peers.timed(step), torch.seconds("step") if torch else float("nan")))
    ours, theirs = (BATCH / statistics.median(times) for times in zip(*seconds[2:], strict=True))
    print(f"train EfficientNet-Lite0, {SIZE} pixels, batch {BATCH}, Adam, float32; median of {STEPS} steps")
    print(f"Keras-TensorFlow {ours:.1f} images/s" + (f"   PyTorch {theirs:.1f} images/s" if torch else ""))
    print(
        f"ratio {ours / theirs:.2f}" if torch else peers.how_to("torch==2.13.0 efficientnet-lite-pytorch==0.1.0 pillow")
    )


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

    times = [(peers.timed(ours), peers.timed(bare)) for _ in range(ROUNDS + 1)][1:]
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    return FILES / first, FILES / second


def jpeg(generator: np.random.Generator) -> bytes:
    """Return a smooth grey picture: noise would make decoding slower than real images do."""
    coarse = Image.fromarray(generator.integers(0, 256, (32, 32), np.uint8))
    buffer = io.BytesIO()
    coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


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
