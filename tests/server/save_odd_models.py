"""Save a SavedModel whose signatures are hard to serve: `save_odd_models.py FOLDER SIGNATURE[=METHOD] …`.

Runs in a TensorFlow environment, as a script.
"""
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportOptionalOperand=false
# pyright: reportArgumentType=false, reportOperatorIssue=false, reportCallIssue=false

import sys

import tensorflow as tf


def spec(shape, dtype, name="x"):
    return tf.TensorSpec(shape, dtype, name=name)


class Odd(tf.Module):
    @tf.function(input_signature=[spec([None], tf.float32)])
    def positive(self, x):
        return {"y": tf.boolean_mask(x, x > 0)}

    @tf.function(input_signature=[spec([None, 3], tf.float32)])
    def where(self, x):
        return {"y": tf.where(x > 0.5)}

    @tf.function(input_signature=[spec([None], tf.float32)])
    def unique(self, x):
        return {"y": tf.unique(x)[0]}

    @tf.function(input_signature=[spec([None, 4], tf.float32)])
    def total(self, x):
        return {"y": tf.reduce_sum(x)}

    @tf.function(input_signature=[spec([None, 4], tf.float32)])
    def product(self, x):
        return {"y": x * 2.0}

    @tf.function(input_signature=[spec([], tf.float32)])
    def scalar(self, x):
        return {"y": x * 2.0}

    @tf.function(input_signature=[spec([None], tf.bfloat16)])
    def brain(self, x):
        return {"y": x * 2}

    @tf.function(input_signature=[spec([None], tf.float16)])
    def half(self, x):
        return {"y": x * 2}

    @tf.function(input_signature=[spec([None], tf.uint16)])
    def short(self, x):
        return {"y": x}

    @tf.function(input_signature=[spec([None], tf.string)])
    def echo(self, x):
        return {"y": tf.identity(x)}

    @tf.function(input_signature=[spec([None], tf.string)])
    def words(self, x):
        return {"y": tf.strings.split(x)}

    @tf.function(input_signature=[spec([None], tf.float32)])
    def sparse(self, x):
        return {"y": tf.sparse.from_dense(x)}

    @tf.function(input_signature=[spec([None], tf.float32)])
    def complex(self, x):
        return {"y": tf.complex(x, x)}

    @tf.function(input_signature=[spec([None], tf.float32)])
    def python(self, x):
        y = tf.py_function(lambda value: value * 2, [x], tf.float32)
        y.set_shape([None])
        return {"y": y}

    @tf.function(input_signature=[spec([None, 2], tf.float32)])
    def branched(self, x):
        def call():
            y = tf.numpy_function(lambda value: value, [x], tf.float32)
            y.set_shape([None, 2])
            return y

        return {"y": tf.cond(tf.reduce_sum(x) > 1e6, call, lambda: x)}

    @tf.function(input_signature=[spec([None, 3], tf.float32)])
    def sine(self, x):
        return {"y": tf.sin(x)}

    @tf.function(input_signature=[spec([None, 10], tf.float32)])
    def sigmoid(self, x):
        return {"y": tf.sigmoid(x)}

    @tf.function(input_signature=[spec([], tf.int32)])
    def count(self, x):
        return {"y": tf.range(x)}


odd = Odd()
names = dict(name.split("=") if "=" in name else (name, name) for name in sys.argv[2:])
tf.saved_model.save(odd, sys.argv[1], signatures={name: getattr(odd, method) for name, method in names.items()})
