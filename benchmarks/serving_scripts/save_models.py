"""Save the benchmark's network, as SavedModel and as an MLflow model: `save_models.py FOLDER`."""

import sys

import numpy as np
import tensorflow as tf

import mlflow


def network():
    dense = tf.keras.layers.Dense
    layers = [dense(256, "relu"), dense(128, "relu"), dense(10, "softmax")]
    return tf.keras.Sequential([tf.keras.layers.Input((784,), name="x"), *layers])


folder = sys.argv[1]
model = network()
tf.saved_model.save(model, f"{folder}/model")
# Another version of it, with weights of its own.
tf.saved_model.save(network(), f"{folder}/other")
signature = mlflow.models.infer_signature(np.zeros((1, 784), np.float32), np.zeros((1, 10), np.float32))
mlflow.tensorflow.save_model(model, f"{folder}/mlflow", signature=signature, pip_requirements=["tensorflow"])
