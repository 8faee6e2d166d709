"""Train a small dense network on MNIST with TensorFlow's ParameterServerStrategy.

This is the chief's script: it deals out the work, the workers do it, each in its own time, on variables that the
parameter servers hold. TF_CONFIG says where they are. Plain TensorFlow: arguments in, `./outputs` out, metrics through
MLflow, and a checkpoint an epoch where the environment names a folder for one.
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


def training_images(folder, count):
    """The training images and labels as one element that repeats; every worker reads and keeps its own."""

    def records(name, header, size):
        [path] = Path(folder).rglob(f"*{name}.gz")
        files = tf.data.FixedLengthRecordDataset(str(path), size, header, compression_type="GZIP")
        return files.batch(count).map(lambda rows: tf.io.decode_raw(rows, tf.uint8))

    images = records("train-images-idx3-ubyte", 16, 784)
    labels = records("train-labels-idx1-ubyte", 8, 1)
    return tf.data.Dataset.zip((images, labels)).cache().repeat()


def main():
    """Parse arguments, train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", required=True, help="folder with the four .gz files")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches-in-one-go", type=int, default=25, help="batches that a worker is dealt at a time")
    parser.add_argument("--first-layer-neurons", type=int, default=256)
    parser.add_argument("--second-layer-neurons", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()

    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    tf.keras.utils.set_random_seed(42)
    count = len(load(args.data_folder, "train-labels-idx1-ubyte"))
    hand = args.batch_size * args.batches_in_one_go
    hands = count // hand
    workers = resolver.cluster_spec().num_tasks("worker")
    print(f"dealing {count:,} images to {workers} workers, {hands} times {hand:,} an epoch", flush=True)

    with strategy.scope():
        model = network(args.first_layer_neurons, args.second_layer_neurons)
        steps = args.epochs * hands * args.batches_in_one_go
        rate = tf.keras.optimizers.schedules.CosineDecay(args.learning_rate, steps)
        optimizer = tf.keras.optimizers.SGD(rate, momentum=0.9)
        optimizer.build(model.trainable_variables)
        epoch = tf.Variable(0, dtype=tf.int64)
    data = iter(coordinator.create_per_worker_dataset(lambda: training_images(args.data_folder, count)))

    @tf.function
    def train(iterator, numbers):
        """Train on the images with these numbers, batch after batch; on a worker."""
        images, labels = next(iterator)

        def step(batch):
            with tf.GradientTape() as tape:
                scores = model(tf.cast(tf.gather(images, batch), tf.float32) / 255, training=True)
                wanted = tf.squeeze(tf.gather(labels, batch), 1)
                each = tf.keras.losses.sparse_categorical_crossentropy(wanted, scores)
                loss = tf.reduce_mean(each)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return loss

        total = 0.0
        for batch in tf.reshape(numbers, (args.batches_in_one_go, args.batch_size)):
            total += strategy.run(step, args=(batch,))
        return total / args.batches_in_one_go

    alone = network(args.first_layer_neurons, args.second_layer_neurons)
    alone.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    test = load(args.data_folder, "t10k-images-idx3-ubyte"), load(args.data_folder, "t10k-labels-idx1-ubyte")
    kept = tf.train.Checkpoint(model=model, optimizer=optimizer, epoch=epoch)
    # The chief reads and writes all of it, whether or not the servers share a disk with it.
    here = tf.train.CheckpointOptions(experimental_io_device="/job:chief")
    manager = None
    if checkpoints := os.environ.get("TRAINSTACK_CHECKPOINT_DIR"):
        manager = tf.train.CheckpointManager(kept, checkpoints, max_to_keep=1)
        if manager.latest_checkpoint:
            kept.restore(manager.latest_checkpoint, options=here)
            print(f"going on after epoch {epoch.numpy()}", flush=True)
    accuracy = 0.0
    for number in range(int(epoch.numpy()) + 1, args.epochs + 1):
        # Each image is dealt once an epoch, to whichever worker is free; a faster worker gets more.
        order = np.random.default_rng(number).permutation(count).astype(np.int32)
        losses = [
            coordinator.schedule(train, args=(data, order[start : start + hand]))
            for start in range(0, hands * hand, hand)
        ]
        coordinator.join()
        alone.set_weights(model.get_weights())
        _, accuracy = alone.evaluate(*test, batch_size=1000, verbose=0)
        loss = float(np.mean([loss.fetch() for loss in losses]))
        mlflow.log_metrics({"loss": loss, "accuracy": accuracy}, step=number)
        print(f"epoch {number}: loss {loss:.4f}, test accuracy {accuracy:.4f}", flush=True)
        if manager:
            epoch.assign(number)
            manager.save(options=here)
    tf.saved_model.save(alone, "outputs/model")


if __name__ == "__main__":
    main()
