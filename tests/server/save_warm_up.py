"""Write warm-up requests beside a SavedModel: `save_warm_up.py FOLDER COLUMNS`; each of two rows of so many numbers.

Runs in a TensorFlow environment, as a script. The envelope is made by hand: tensorflow-serving-api is not there.
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf


def field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


values = np.ones((2, int(sys.argv[2])), np.float32)
tensor = tf.make_tensor_proto(values).SerializeToString()
spec = field(3, b"serving_default")
request = field(1, spec) + field(2, field(1, b"x") + field(2, tensor))
log = field(6, field(1, request))
file = Path(sys.argv[1], "assets.extra", "tf_serving_warmup_requests")
file.parent.mkdir(exist_ok=True)
with tf.io.TFRecordWriter(str(file)) as writer:
    for _ in range(3):
        writer.write(log)
