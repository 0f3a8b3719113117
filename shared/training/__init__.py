"""Training: ``fit``, the only caller of ``model.fit``; the order of data, callbacks, checkpoints, seeds and devices."""
