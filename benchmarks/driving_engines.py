"""The detector through the exported model, ONNX Runtime and LiteRT, one image at a time, in one run.

``python -m benchmarks.driving_engines [--run-dir RUN]``; without a run the network has its ImageNet backbone and an
untrained head, which takes as long. ONNX Runtime and LiteRT need the extra ``engines``.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np

SIZES, IMAGES, ROUNDS = (320, 416), 12, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=pathlib.Path)
    arguments = parser.parse_args()
    from shared import runtime

    runtime.quiet_logs()
    if arguments.run_dir is not None:
        from apps.driving_perception import scoring

        run = scoring.open_run(arguments.run_dir)
        report(run.model, run.settings.image_size)
        return
    from apps.driving_perception import config, model

    for size in SIZES:
        settings = config.Config.default().replace({"image_size": size})
        report(model.build(settings, classes=7), size)


def report(network: object, image_size: int) -> None:
    """Print images per second of each way, measured in turns."""
    ways = build(network, image_size)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for look in ways.values():
        look()
    for _ in range(ROUNDS * IMAGES):
        for name, look in ways.items():
            started = time.perf_counter()
            look()
            seconds[name].append(time.perf_counter() - started)
    base = statistics.median(seconds["exported graph, from the JPEG to boxes"])
    print(f"as many pixels as a square of {image_size}; 1280 x 720 JPEG; median of {ROUNDS * IMAGES}")
    for name, times in seconds.items():
        middle = statistics.median(times)
        worst = float(np.quantile(times, 0.95))
        print(f"  {name:42s} {1 / middle:6.1f} images/s   p95 {1000 * worst:6.1f} ms   ratio {base / middle:.2f}")


def build(network: object, image_size: int) -> dict[str, Callable[[], object]]:
    """Return what is timed: the whole graph of the bundle, and the network alone in each engine."""
    import tensorflow as tf

    from apps.driving_perception import answers, canvas, config, engines, preprocessing, scenes

    picture = scenes.render(sequences=1, frames=1, seed=0, width=1280, height=720).images.read(0)
    settings = config.Config.default().replace({"image_size": image_size})
    graph = answers.graph(network, settings)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def whole(image_bytes: object) -> object:
        return graph(*preprocessing.decode(image_bytes, image_size=image_size))

    heads = engines.cut(network)
    alone = tf.function(lambda image: heads(image, training=False))
    shape = canvas.shape(1280, 720, image_size=image_size)
    image = np.random.default_rng(0).uniform(0, 255, (1, *shape, 3)).astype(np.float32)
    content, tensor = tf.constant([picture]), tf.constant(image)
    ways: dict[str, Callable[[], object]] = {
        "exported graph, from the JPEG to boxes": lambda: whole(content)["boxes"].numpy(),
        "network alone, TensorFlow": lambda: alone(tensor)[0].numpy(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        for engine in engines.FORMATS:
            if engines.missing(engine):
                print(f"  {engine}: not installed ({', '.join(engines.missing(engine))})")
                continue
            path = pathlib.Path(scratch) / engines.FILES[engine]
            engines.convert(network, path, engine=engine, shape=shape)
            look = engines.load(path, engine)
            ways[f"network alone, {engine}"] = lambda look=look: look(image)
    return ways


if __name__ == "__main__":
    main()
