"""``python -m tests.without_tensorflow``: what must work where TensorFlow is not installed. Some minutes."""

import os
import sys
from importlib import util

os.environ["KERAS_BACKEND"] = "jax"


def main() -> int:
    """Check every builder, and the networks of the apps; return 1 where one fails."""
    assert util.find_spec("tensorflow") is None, "expected an environment without TensorFlow"
    from tests.driving_perception import test_without_tensorflow as detector
    from tests.shared import test_backends

    failed = {name: fault for name, fault in test_backends.report().items() if fault}
    for name, fault in failed.items():
        print(f"{name}: {fault}", file=sys.stderr)
    exec(detector.SCRIPT, {})
    _medical()
    print("without TensorFlow: builders, interrupted training, the detector and the classifier of images work on JAX")
    return 1 if failed else 0


def _medical() -> None:
    import numpy as np

    from apps.medical_imaging import config, model

    settings = config.Config.smoke()
    network = model.build(settings, classes=2)
    network.compile(optimizer="sgd", loss=model.build_loss(settings, task="multi_class", labels=np.eye(2, dtype="f4")))
    shape = [2, *(side or settings.image_size for side in network.inputs[0].shape[1:])]
    loss = network.fit(np.zeros(shape, "float32"), np.eye(2, dtype="float32"), verbose=0).history["loss"]
    assert np.isfinite(loss).all()


if __name__ == "__main__":
    sys.exit(main())
