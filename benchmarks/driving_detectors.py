"""Our detector beside KerasHub's RetinaNet: the same data, backbone, pictures and minutes of training, in one run.

``python -m benchmarks.driving_detectors [--data SPEC ...] [--minutes M] [--image-size S] [--memorize N]``. Both start
from the ImageNet weights of EfficientNet-Lite0, are trained for about M minutes of the processor, and are judged on the
same test part with the same suppression of doubles. RetinaNet knows no ignored areas: it takes them for background.
With ``--time-d-fine`` only the steps of KerasHub's D-FINE are timed. Needs the extra ``hub``.
"""

import argparse
import importlib.util
import time
from typing import Any

import numpy as np

BATCH, TIMED_STEPS = 8, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["road-scenes"])
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--image-size", type=int, default=288)
    parser.add_argument(
        "--memorize", type=int, metavar="N", help="learn N pictures as they are, and be judged on them: can it learn?"
    )
    parser.add_argument("--time-d-fine", action="store_true", help="only time training steps of D-FINE nano")
    arguments = parser.parse_args()
    if importlib.util.find_spec("keras_hub") is None:
        print("keras-hub is not installed (the extra `hub`): nothing to compare.")
        return
    from shared.training import runtime

    runtime.quiet_logs()
    if arguments.time_d_fine:
        time_d_fine(arguments.image_size)
        return
    from apps.driving_perception import config, data, training_images
    from shared.training import optimizers

    settings = config.Config.quick().replace(
        {"data": tuple(arguments.data), "image_size": arguments.image_size, "mosaic": 0.2}
    )
    if arguments.memorize:
        settings = settings.replace({"mosaic": 0.0, "zoom_out": 1.0, "zoom_in": 1.0, "photometric": 0.0, "flip": False})
    collection = data.load(settings)
    split, _ = data.split(collection, settings)
    shown = split.rows("train")[: arguments.memorize]
    learned = training_images.training(collection, shown, settings)
    rows = shown if arguments.memorize else split.rows("test")
    print(
        f"{len(learned)} training, {len(rows)} test images; {arguments.minutes:g} minutes each; "
        f"size {arguments.image_size}"
    )
    for name, make in (("ours", ours), ("KerasHub RetinaNet", retina_net)):
        steps = steps_in(learned, *make(settings, len(collection.class_names), 0.0)[:2], minutes=arguments.minutes)
        schedule = optimizers.build_schedule("cosine", peak=settings.learning_rate, steps=steps, warmup_fraction=0.1)
        network, as_batch, places = make(settings, len(collection.class_names), schedule)
        started = time.perf_counter()
        network.fit(batches(learned, as_batch, steps), steps_per_epoch=steps, shuffle=False, verbose=0)
        seconds = time.perf_counter() - started
        network.optimizer.finalize_variable_values(network.trainable_variables)
        numbers = judge(collection, rows, places, settings)
        told = ", ".join(f"{key} {numbers[key]:.3f}" for key in ("map_50", "map", "ap_50_car") if key in numbers)
        print(
            f"{name}: {network.count_params():,} weights; {BATCH * steps} pictures in {seconds:.0f} s; {told}",
            flush=True,
        )


def batches(learned: Any, as_batch: Any, steps: int) -> Any:
    """Return the augmented batches of as many epochs as hold so many steps."""
    from shared.training import batches as batching
    from shared.training import datasets

    epochs = steps // datasets.steps(len(learned), batch_size=BATCH) + 1
    return batching.training(learned, batch_size=BATCH, seed=0, first_epoch=0, epochs=epochs).map(as_batch)


def steps_in(learned: Any, network: Any, as_batch: Any, *, minutes: float) -> int:
    """Return how many steps of training take so many minutes, timed on some of them."""
    network.fit(batches(learned, as_batch, 2), steps_per_epoch=2, shuffle=False, verbose=0)
    started = time.perf_counter()
    network.fit(batches(learned, as_batch, TIMED_STEPS), steps_per_epoch=TIMED_STEPS, shuffle=False, verbose=0)
    return max(int(60 * minutes * TIMED_STEPS / (time.perf_counter() - started)), 10)


def _optimizer(learning_rate: Any) -> Any:
    from shared.training import optimizers

    return optimizers.build_optimizer(
        "adamw", learning_rate=learning_rate, weight_decay=0.01, gradient_clip_norm=10.0, ema_momentum=0.97
    )


def ours(settings: Any, classes: int, learning_rate: Any) -> tuple[Any, Any, Any]:
    """Return our network, how it takes a batch, and how its places are read."""
    from apps.driving_perception import losses, model, train

    network = model.build(settings, classes=classes)
    train.freeze(network, settings, backbone=False)
    network.compile(optimizer=_optimizer(learning_rate), loss=losses.DetectionLoss(), jit_compile=False)
    return network, lambda images, rows: (images, rows), lambda picture: np.asarray(network(picture, training=False))


def retina_net(settings: Any, classes: int, learning_rate: Any) -> tuple[Any, Any, Any]:
    """Return KerasHub's network over the same backbone, how it takes a batch, and its answers in the form of places."""
    import keras
    import keras_hub
    import tensorflow as tf

    from apps.driving_perception import losses, model
    from shared.models import efficientnet, pretrained

    whole = efficientnet.build_efficientnet_lite(input_shape=(None, None, 3), classes=2, drop_connect_rate=0.1)
    pretrained.load_efficientnet_lite0(whole)
    efficientnet.freeze(whole, stages=settings.frozen_stages, normalization=True)
    encoder = keras.Model(whole.input, whole.get_layer("stage_7_block_1_project_normalization").output)
    encoder.pyramid_outputs = {f"P{i + 3}": whole.get_layer(name).output for i, name in enumerate(model.TAPS)}
    backbone = keras_hub.models.RetinaNetBackbone(
        image_encoder=encoder, min_level=3, max_level=7, use_p5=False, image_shape=(None, None, 3)
    )
    network = keras_hub.models.RetinaNetObjectDetector(backbone, num_classes=classes, bounding_box_format="xyxy")
    # KerasHub 0.32 gives the prior of the classes (Lin et al. 2017) to the boxes: each would have to unlearn it first.
    for head, bias in (
        (network.box_head, 0.0),
        (network.classification_head, -np.log((1 - model.PRIOR) / model.PRIOR)),
    ):
        head.prediction_layer.bias.assign(np.full(head.prediction_layer.bias.shape, bias))
    network.compile(
        optimizer=_optimizer(learning_rate),
        box_loss=keras.losses.Huber(reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(from_logits=True, reduction="sum"),
    )

    def as_batch(images: Any, rows: Any) -> Any:
        real = rows[..., losses.KIND_COLUMN] == losses.OBJECT
        labels = tf.where(real, tf.cast(tf.argmax(rows[..., losses.CLASS_COLUMNS :], axis=2), tf.float32), -1.0)
        return images, {"boxes": tf.where(real[..., None], rows[..., :4], -1.0), "labels": labels}

    def places(picture: Any) -> Any:
        said = network(picture, training=False)
        anchors = keras.ops.concatenate(list(network.anchor_generator(picture).values()), axis=0)
        boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
            anchors=anchors,
            boxes_delta=said["bbox_regression"],
            encoded_format="center_xywh",
            anchor_format=network.anchor_generator.bounding_box_format,
            box_format="xyxy",
            image_shape=tuple(picture.shape[1:]),
        )
        rest = np.zeros((*boxes.shape[:2], 3), np.float32)
        return np.concatenate([np.asarray(said["cls_logits"]), np.asarray(boxes), rest], axis=2)

    return network, as_batch, places


def time_d_fine(image_size: int, steps: int = 3) -> None:
    """Print how long KerasHub's smallest D-FINE takes for a training step, on pictures with two boxes each.

    The same number in each, for its loss counts the rows that fill up shorter lists as objects.
    """
    import keras

    from apps.driving_perception import preprocessing

    network, shape = d_fine(image_size), (BATCH, *preprocessing.training_shape(image_size), 3)
    images = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    boxes = np.tile(np.array([[[0.3, 0.3, 0.4, 0.4], [0.6, 0.5, 0.1, 0.2]]], np.float32), (BATCH, 1, 1))
    rows = {"boxes": boxes, "labels": np.tile(np.array([[1, 2]], np.int32), (BATCH, 1))}
    ended = [time.perf_counter()]
    said = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _step, **_logs: ended.append(time.perf_counter()))
    network.compile(optimizer=keras.optimizers.AdamW(1e-4))
    for _ in range(steps):
        network.fit(images, rows, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[said])
    first, *rest = np.diff(ended)
    print(
        f"KerasHub D-FINE nano: {network.count_params():,} weights; the first step of {BATCH} pictures takes "
        f"{first:.0f} s with tracing, further ones {np.median(rest):.0f} s"
    )


def d_fine(image_size: int, classes: int = 6) -> Any:
    """Return D-FINE nano as KerasHub's documentation builds it, for our training pictures, without weights."""
    import keras_hub

    from apps.driving_perception import preprocessing

    shape = (*preprocessing.training_shape(image_size), 3)
    encoder = keras_hub.models.HGNetV2Backbone(
        stem_channels=[3, 16, 16],
        stackwise_stage_filters=[
            [16, 16, 64, 1, 3, 3],
            [64, 32, 256, 1, 3, 3],
            [256, 64, 512, 2, 3, 5],
            [512, 128, 1024, 1, 3, 5],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        depths=[1, 1, 2, 1],
        hidden_sizes=[64, 256, 512, 1024],
        embedding_size=16,
        use_learnable_affine_block=True,
        hidden_act="relu",
        image_shape=shape,
        out_features=["stage3", "stage4"],
    )
    backbone = keras_hub.models.DFineBackbone(
        backbone=encoder,
        decoder_in_channels=[128, 128],
        encoder_hidden_dim=128,
        num_denoising=0,
        num_labels=classes,
        hidden_dim=128,
        learn_initial_query=False,
        num_queries=300,
        anchor_image_size=shape[:2],
        feat_strides=[16, 32],
        num_feature_levels=2,
        encoder_in_channels=[512, 1024],
        encode_proj_layers=[1],
        num_attention_heads=8,
        encoder_ffn_dim=512,
        num_encoder_layers=1,
        hidden_expansion=0.34,
        depth_multiplier=0.5,
        eval_idx=-1,
        num_decoder_layers=3,
        decoder_attention_heads=8,
        decoder_ffn_dim=512,
        decoder_n_points=[6, 6],
        lqe_hidden_dim=64,
        num_lqe_layers=2,
        out_features=["stage3", "stage4"],
        image_shape=shape,
    )
    return keras_hub.models.DFineObjectDetector(backbone=backbone, num_classes=classes, bounding_box_format="xyxy")


def judge(collection: Any, rows: Any, places: Any, settings: Any) -> dict[str, float]:
    """Return COCO's numbers on the test part."""
    import tensorflow as tf

    from apps.driving_perception import coco_metrics, predictions, preprocessing

    part, found = collection.take(rows), []
    for row in range(len(part)):
        image = tf.image.convert_image_dtype(part.images.decode(row), tf.float32)
        picture, geometry = preprocessing.place(image, image_size=settings.image_size)
        sides = geometry.numpy()
        seen = predictions.boxes(
            tf.constant(places(tf.cast(picture, tf.float32)[tf.newaxis])),
            sides[np.newaxis, preprocessing.FILLED].astype(np.float32),
            most=settings.most_detections,
            overlap=settings.suppression_overlap,
        )
        factor = np.tile((sides[preprocessing.ORIGINAL] / sides[preprocessing.FILLED])[::-1], 2)
        found.append({**seen, "boxes": seen["boxes"].numpy() * factor})
    return coco_metrics.summary(coco_metrics.match_frames(part, predictions.flat(found)))


if __name__ == "__main__":
    main()
