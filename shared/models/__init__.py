"""Model builders: shapes and sizes in, an uncompiled ``keras.Model`` with float32 ``logits`` out."""
