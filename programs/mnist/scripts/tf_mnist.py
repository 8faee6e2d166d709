"""Train a small dense network on MNIST with TensorFlow and Keras.

Plain TensorFlow: arguments in, `./outputs` and `./logs` out, metrics through MLflow, and a checkpoint an epoch where
the environment names a folder for one. Nothing in here knows what starts it.
"""

import argparse
import gzip
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

import mlflow


def load(folder, name):
    """Read one of MNIST's `.gz` files: images as floats in 0..1 of shape (n, 784), labels as integers of shape (n,)."""
    [path] = Path(folder).rglob(f"*{name}.gz")
    with gzip.open(path) as file:
        data = file.read()
    dimensions = data[3]
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    return values.reshape(-1, 784).astype(np.float32) / 255 if dimensions == 3 else values.astype(np.int32)


def log_metrics(epoch, logs):
    """Log an epoch; `accuracy` is that on the test images, as after the last epoch."""
    mlflow.log_metrics(
        {"loss": logs["loss"], "train_accuracy": logs["accuracy"], "accuracy": logs["val_accuracy"]}, step=epoch + 1
    )


def main():
    """Parse arguments, train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", required=True, help="folder with the four .gz files")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--first-layer-neurons", type=int, default=256)
    parser.add_argument("--second-layer-neurons", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    tf.keras.utils.set_random_seed(42)
    train = load(args.data_folder, "train-images-idx3-ubyte"), load(args.data_folder, "train-labels-idx1-ubyte")
    test = load(args.data_folder, "t10k-images-idx3-ubyte"), load(args.data_folder, "t10k-labels-idx1-ubyte")
    print(f"training on {len(train[0]):,} images, testing on {len(test[0]):,}", flush=True)

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((784,), name="image"),
            # Mean and deviation of MNIST's pixels; in the model, so that whoever scores need not know them.
            tf.keras.layers.Rescaling(1 / 0.3081, -0.1307 / 0.3081),
            tf.keras.layers.Dense(args.first_layer_neurons, activation="relu"),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(args.second_layer_neurons, activation="relu"),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    steps = args.epochs * -(-len(train[0]) // args.batch_size)
    rate = tf.keras.optimizers.schedules.CosineDecay(args.learning_rate, steps)
    model.compile(
        optimizer=tf.keras.optimizers.SGD(rate, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    log_epoch = tf.keras.callbacks.LambdaCallback(on_epoch_end=log_metrics)
    callbacks = [log_epoch, tf.keras.callbacks.TensorBoard("logs/tensorboard", write_graph=False)]
    if checkpoints := os.environ.get("TRAINSTACK_CHECKPOINT_DIR"):
        callbacks.append(tf.keras.callbacks.BackupAndRestore(checkpoints))
    model.fit(
        *train,
        batch_size=args.batch_size,
        epochs=args.epochs,
        validation_data=test,
        callbacks=callbacks,
        verbose=2,
    )

    _, accuracy = model.evaluate(*test, batch_size=1000, verbose=0)
    mlflow.log_metric("accuracy", accuracy, step=args.epochs)
    print(f"test accuracy {accuracy:.4f}", flush=True)
    tf.saved_model.save(model, "outputs/model")


if __name__ == "__main__":
    main()
