"""Fits a line. Plain TensorFlow: arguments in, ./outputs out, metrics through MLflow."""

import argparse
import pathlib

import numpy
import tensorflow as tf

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=pathlib.Path, required=True)
parser.add_argument("--epochs", type=int, default=20)
options = parser.parse_args()

tf.keras.utils.set_random_seed(1)
rows = numpy.concatenate([numpy.loadtxt(file, delimiter=",") for file in sorted(options.data.rglob("*.csv"))])
model = tf.keras.Sequential([tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)])
model.compile(optimizer=tf.keras.optimizers.SGD(0.1), loss="mse")
history = model.fit(rows[:, :1], rows[:, 1], epochs=options.epochs, verbose=2)

mlflow.log_metric("loss", history.history["loss"][-1])
tf.saved_model.save(model, "outputs/model")
