"""Train a small dense network on MNIST with TensorFlow, Keras and Horovod: every rank takes its own part of the images.

Plain TensorFlow and Horovod: arguments in, `./outputs` out, metrics through MLflow, and a checkpoint an epoch where
the environment names a folder for one. Nothing in here knows what starts it; `horovodrun -np 2 python` does too.
"""

import argparse
import gzip
import os
import time
from pathlib import Path

import horovod.tensorflow.keras as hvd
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


def network(first, second):
    """The network; mean and deviation of MNIST's pixels are in it, so that whoever scores need not know them."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.Input((784,), name="image"),
            tf.keras.layers.Rescaling(1 / 0.3081, -0.1307 / 0.3081),
            tf.keras.layers.Dense(first, activation="relu"),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(second, activation="relu"),
            tf.keras.layers.Dropout(0.2),
            tf.keras.layers.Dense(10, activation="softmax", name="digit"),
        ]
    )


class StepClock(tf.keras.callbacks.Callback):
    """Count the steps after the first, which compiles, and the seconds that they took."""

    def __init__(self):
        super().__init__()
        self.steps, self.started, self.seconds = -1, 0.0, 0.0

    def on_train_batch_end(self, batch, logs=None):
        """Count a step."""
        self.steps += 1
        if self.steps == 0:
            self.started = time.perf_counter()

    def on_train_end(self, logs=None):
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.started


def log_metrics(epoch, logs):
    """Log an epoch: loss and accuracy on rank 0's part of the training images."""
    mlflow.log_metrics({"loss": logs["loss"], "train_accuracy": logs["accuracy"]}, step=epoch + 1)


def main():
    """Parse arguments, train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", required=True, help="folder with the four .gz files")
    parser.add_argument("--batch-size", type=int, default=64, help="images a rank and step")
    parser.add_argument("--first-layer-neurons", type=int, default=256)
    parser.add_argument("--second-layer-neurons", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.01, help="of one rank; more ranks take larger steps")
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()

    hvd.init()
    rank, size = hvd.rank(), hvd.size()
    # Another seed a rank, so that dropout and order differ; the first weights are rank 0's all the same.
    tf.keras.utils.set_random_seed(42 + rank)
    images = load(args.data_folder, "train-images-idx3-ubyte")
    labels = load(args.data_folder, "train-labels-idx1-ubyte")
    # Every size-th image from this rank's own on: equal parts, and as many steps on each rank.
    part = slice(rank, len(images) // size * size, size)
    images, labels = images[part], labels[part]
    steps = len(images) // args.batch_size
    print(f"rank {rank} of {size} trains on {len(images):,} images, {steps} steps an epoch", flush=True)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images))
    data = data.batch(args.batch_size, drop_remainder=True).prefetch(2)

    model = network(args.first_layer_neurons, args.second_layer_neurons)
    rate = tf.keras.optimizers.schedules.CosineDecay(args.learning_rate * size, args.epochs * steps)
    # Horovod 0.28 reduces the gradients of Keras's legacy optimizers.
    optimizer = hvd.DistributedOptimizer(tf.keras.optimizers.legacy.SGD(rate, momentum=0.9))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    # Rank 0 keeps the checkpoints; all go on from the epoch that it has reached, with its weights.
    epoch = tf.Variable(0, dtype=tf.int64)
    folder = os.environ.get("TRAINSTACK_CHECKPOINT_DIR") if rank == 0 else None
    kept = tf.train.Checkpoint(model=model, optimizer=optimizer, epoch=epoch)
    manager = tf.train.CheckpointManager(kept, folder, max_to_keep=1) if folder else None
    # All variables are there before any is restored: their order, in which they are sent, is then that of every rank.
    optimizer._create_all_weights(model.trainable_variables)
    if manager and manager.restore_or_initialize():
        print(f"going on after epoch {epoch.numpy()}", flush=True)
    start = int(hvd.broadcast(epoch, 0))

    def keep(number, logs):
        epoch.assign(number + 1)
        manager.save()

    clock = StepClock()
    callbacks = [hvd.callbacks.BroadcastGlobalVariablesCallback(0), hvd.callbacks.MetricAverageCallback(), clock]
    if rank == 0:
        callbacks.append(tf.keras.callbacks.LambdaCallback(on_epoch_end=log_metrics))
    if manager:
        callbacks.append(tf.keras.callbacks.LambdaCallback(on_epoch_end=keep))
    model.fit(data, epochs=args.epochs, initial_epoch=start, callbacks=callbacks, verbose=2 if rank == 0 else 0)
    if rank != 0:
        return
    test = load(args.data_folder, "t10k-images-idx3-ubyte"), load(args.data_folder, "t10k-labels-idx1-ubyte")
    _, accuracy = model.evaluate(*test, batch_size=1000, verbose=0)
    mlflow.log_metric("accuracy", accuracy, step=args.epochs)
    if clock.steps > 0:
        mlflow.log_metric("steps_per_second", clock.steps / clock.seconds, step=args.epochs)
    print(f"test accuracy {accuracy:.4f}, {clock.steps} steps in {clock.seconds:.2f} s", flush=True)
    tf.saved_model.save(model, "outputs/model")


if __name__ == "__main__":
    main()
