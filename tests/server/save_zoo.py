"""Save one SavedModel with a signature for each thing that the protocol must carry: `save_zoo.py FOLDER [SIGNATURE …]`.

Runs in a TensorFlow environment, as a script.
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false

import sys
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def spec(shape, dtype, name):
    return tf.TensorSpec(shape, dtype, name=name)


class Zoo(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(tf.reshape(tf.range(8, dtype=tf.float32), (4, 2)))
        # Another version of the model answers otherwise.
        self.bias = tf.Variable(tf.constant([7.5, -1.0] if "--other" in sys.argv else [0.5, -1.0]))

    @tf.function(input_signature=[spec([None, 4], tf.float32, "x")])
    def dense(self, x):
        return {"scores": x @ self.weights + self.bias}

    @tf.function(input_signature=[spec([None], tf.string, "text"), spec([None, None], tf.int32, "numbers")])
    def pair(self, text, numbers):
        return {"length": tf.strings.length(text), "text": tf.strings.upper(text), "sum": tf.reduce_sum(numbers, 1)}

    @tf.function(input_signature=[spec(None, tf.float32, "x")])
    def any_rank(self, x):
        return {"y": x / 2.0 + 2.0}

    @tf.function(input_signature=[spec([None], tf.string, "image")])
    def binary(self, image):
        return {"image_bytes": image}

    @tf.function(input_signature=[spec([None], tf.string, "text")])
    def echo(self, text):
        return {"text": text}

    @tf.function(input_signature=[spec([None], tf.float32, "x")])
    def quotient(self, x):
        return {"y": 1.0 / x}

    @tf.function(input_signature=[spec([None], tf.float32, "x")])
    def total(self, x):
        return {"y": tf.reduce_sum(x)}

    @tf.function(input_signature=[spec([None], tf.float32, "x")])
    def uneven(self, x):
        return {"a": x, "b": tf.concat([x, x], 0)}

    @tf.function(input_signature=[spec([None], tf.float32, "x")])
    def narrow(self, x):
        return {"y": tf.cast(x, tf.float16)}

    @tf.function(input_signature=[spec([None], tf.int32, "index")])
    def pick(self, index):
        return {"y": tf.gather(tf.constant([10, 20, 30]), index)}

    @tf.function(input_signature=[spec([None], tf.string, "text"), spec([None], tf.int32, "index")])
    def lookup(self, text, index):
        return {"y": tf.gather(tf.constant(["a", "b", "c"]), index)}

    @tf.function(input_signature=[spec([None, 2, 2, 1], tf.float32, "image"), spec([None], tf.int64, "scale")])
    def image(self, image, scale):
        scaled = image * tf.cast(scale, tf.float32)[:, None, None, None]
        return {"sum": tf.reduce_sum(scaled, [1, 2, 3]), "largest": tf.reduce_max(scaled, [1, 2, 3])}

    @tf.function(input_signature=[spec([None, 8, 8, 1], tf.float32, "picture")])
    def picture(self, picture):
        # How light each row is.
        return {"rows": tf.reduce_mean(picture, [2, 3])}

    @tf.function(input_signature=[spec([None], tf.string, "inputs")])
    def classify(self, inputs):
        x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([2], tf.float32)})["x"]
        labels = tf.tile([["cat", "dog"]], [tf.shape(x)[0], 1])
        return {"classes": labels, "scores": x}

    @tf.function(input_signature=[spec([None], tf.string, "inputs")])
    def regress(self, inputs):
        found = tf.io.parse_example(
            inputs,
            {"x": tf.io.FixedLenFeature([2], tf.float32), "plus": tf.io.FixedLenFeature([], tf.int64, 0)},
        )
        return {"outputs": tf.reduce_sum(found["x"], 1) + tf.cast(found["plus"], tf.float32)}

    @tf.function(
        input_signature=[
            spec([None], getattr(tf, name), f"of_{name}")
            for name in ("bool", "double", "int8", "int16", "int64", "uint8", "uint32", "uint64")
        ]
    )
    def types(self, *values):
        return {f"out{number}": value for number, value in enumerate(values)}

    @tf.function(input_signature=[spec([], tf.int64, "turns")])
    def spin(self, turns):
        (done,) = tf.while_loop(lambda turn: turn < turns, lambda turn: (turn + 1,), (tf.constant(0, tf.int64),))
        return {"done": done}


zoo = Zoo()
every = ["pair", "any_rank", "binary", "echo", "quotient", "total", "uneven", "narrow", "pick", "types", "spin"]
every += ["lookup", "image", "classify", "regress"]
# One name alone, `serving_default`, gives a model that LiteRT serves without TensorFlow.
names = [name for name in sys.argv[2:] or every if name not in ("serving_default", "--other", "--picture")]
default = zoo.picture if "--picture" in sys.argv else zoo.dense
signatures = {"serving_default": default, **{name: getattr(zoo, name) for name in names}}
tf.saved_model.save(zoo, sys.argv[1], signatures=signatures)

# What Keras and tf.function write says `predict`; estimators wrote what the other two paths ask for.
file = Path(sys.argv[1]) / "saved_model.pb"
proto = saved_model_pb2.SavedModel()
proto.ParseFromString(file.read_bytes())
for method in {"classify", "regress"}.intersection(names):
    proto.meta_graphs[0].signature_def[method].method_name = f"tensorflow/serving/{method}"
file.write_bytes(proto.SerializeToString())
