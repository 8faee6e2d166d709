"""Train a small dense network on MNIST with TensorFlow's MultiWorkerMirroredStrategy: equal workers, one model.

Plain TensorFlow: arguments in, `./outputs` out, metrics through MLflow, and a checkpoint an epoch where the
environment names a folder for one. TF_CONFIG says which worker this is; nothing in here knows what starts it.
"""

import argparse
import gzip
import os
import tempfile
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


def sharded(data, batch_size):
    """Batch a dataset of which every worker takes its own part: by number, since all images are in one file."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.batch(batch_size, drop_remainder=True).with_options(options)


def log_metrics(epoch, logs):
    """Log an epoch; loss and accuracy are those of all workers together."""
    mlflow.log_metrics({"loss": logs["loss"], "train_accuracy": logs["accuracy"]}, step=epoch + 1)


def main():
    """Parse arguments, train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", required=True, help="folder with the four .gz files")
    parser.add_argument("--batch-size", type=int, default=64, help="images a worker and step")
    parser.add_argument("--first-layer-neurons", type=int, default=256)
    parser.add_argument("--second-layer-neurons", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.01, help="of one worker; more take larger steps")
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()

    # First of all: the workers meet when the strategy is made.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    size, number = strategy.num_replicas_in_sync, strategy.cluster_resolver.task_id or 0
    tf.keras.utils.set_random_seed(42)
    images = load(args.data_folder, "train-images-idx3-ubyte")
    labels = load(args.data_folder, "train-labels-idx1-ubyte")
    batch_size = args.batch_size * size
    steps = len(images) // batch_size
    print(f"worker {number} of {size}: {len(images):,} images, {steps} steps an epoch", flush=True)
    # All workers shuffle alike, by one seed, and each takes its own part of that: no image is read by two.
    data = sharded(tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images), seed=42), batch_size)

    with strategy.scope():
        model = network(args.first_layer_neurons, args.second_layer_neurons)
        rate = tf.keras.optimizers.schedules.CosineDecay(args.learning_rate * size, args.epochs * steps)
        model.compile(
            tf.keras.optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
    callbacks = [tf.keras.callbacks.LambdaCallback(on_epoch_end=log_metrics)] if number == 0 else []
    if checkpoints := os.environ.get("TRAINSTACK_CHECKPOINT_DIR"):
        callbacks.append(tf.keras.callbacks.BackupAndRestore(checkpoints))
    model.fit(data, epochs=args.epochs, callbacks=callbacks, verbose=2 if number == 0 else 0)

    # Saving reads variables of all workers, so all must save; only the first one's is kept.
    with tempfile.TemporaryDirectory() as scratch:
        tf.saved_model.save(model, "outputs/model" if number == 0 else f"{scratch}/model")
    if number == 0:
        alone = network(args.first_layer_neurons, args.second_layer_neurons)
        alone.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        alone.set_weights(model.get_weights())
        test = load(args.data_folder, "t10k-images-idx3-ubyte"), load(args.data_folder, "t10k-labels-idx1-ubyte")
        _, accuracy = alone.evaluate(*test, batch_size=1000, verbose=0)
        mlflow.log_metric("accuracy", accuracy, step=args.epochs)
        print(f"test accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
