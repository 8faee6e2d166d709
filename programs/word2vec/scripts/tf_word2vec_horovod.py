"""Learn word vectors from an English text: skip-gram with noise-contrastive estimation, over Horovod's ranks.

Plain TensorFlow and Horovod: arguments in, `./outputs` out, metrics through MLflow, and a checkpoint now and then where
the environment names a folder for one. Nothing in here knows what starts it; `horovodrun -np 2 python` does too.
"""

import argparse
import json
import os
import time
from collections import Counter
from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf
from corpus import read_words
from quality import SHOWN, neighbours, same_kind

import mlflow


def vocabulary_of(words, size):
    """The most frequent words, most frequent first; equal on every rank, whatever the order of equal counts."""
    counts = Counter(words)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:size]
    return [word for word, _ in ranked], np.array([count for _, count in ranked])


def kept_shares(counts, threshold):
    """How often each word is kept: words that are everywhere say little of the words beside them."""
    return np.minimum(1, np.sqrt(threshold * counts.sum() / counts))


class SkipGram(tf.Module):
    """Two vectors and a bias a word: one for the word in the middle, one for the word beside it."""

    def __init__(self, shares, dimensions, noise):
        super().__init__()
        self.noise = noise
        self.embeddings = tf.Variable(tf.random.uniform((len(shares), dimensions), -0.1, 0.1))
        self.beside = tf.Variable(tf.zeros((len(shares), dimensions)))
        # At first a word is as likely beside any other as it is in the text; what is left to learn is the difference.
        self.bias = tf.Variable(tf.math.log(tf.constant(shares, tf.float32)))

    def loss(self, middle, beside):
        """Sum over a batch: tell the word beside from `noise` words drawn by frequency."""
        words = self.embeddings.shape[0]
        each = tf.nn.nce_loss(
            weights=self.beside,
            biases=self.bias,
            labels=tf.expand_dims(tf.cast(beside, tf.int64), 1),
            inputs=tf.nn.embedding_lookup(self.embeddings, middle),
            num_sampled=self.noise,
            num_classes=words,
        )
        return tf.reduce_sum(each)


def main():
    """Parse arguments, train, say how good the vectors are, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", required=True, help="folder with one file of English text")
    parser.add_argument("--vocabulary-size", type=int, default=15000)
    parser.add_argument("--dimensions", type=int, default=96)
    parser.add_argument("--window", type=int, default=4, help="words to each side")
    parser.add_argument("--noise", type=int, default=64, help="noise words a step")
    parser.add_argument("--batch-size", type=int, default=2048, help="pairs of words a rank and step")
    parser.add_argument("--learning-rate", type=float, default=0.2)
    parser.add_argument("--steps", type=int, default=2800)
    parser.add_argument("--log-every", type=int, default=200, help="steps between two points of the loss")
    args = parser.parse_args()

    hvd.init()
    rank, size = hvd.rank(), hvd.size()
    tf.keras.utils.set_random_seed(42 + rank)
    words = read_words(args.data_folder)
    vocabulary, counts = vocabulary_of(words, args.vocabulary_size)
    index = {word: number for number, word in enumerate(vocabulary)}
    # This rank's part: one stretch of the text, so that neighbours stay neighbours.
    stretch = words[rank * len(words) // size : (rank + 1) * len(words) // size]
    tokens = np.array([index[word] for word in stretch if word in index], np.int32)
    keep = kept_shares(counts, 1e-4)
    tokens = tokens[np.random.default_rng(rank).random(len(tokens)) < keep[tokens]]
    print(f"rank {rank} of {size}: {len(words):,} words in all, {len(tokens):,} of this rank's are kept", flush=True)

    model = SkipGram(counts * keep / (counts * keep).sum(), args.dimensions, args.noise)
    rate = tf.keras.optimizers.schedules.PolynomialDecay(args.learning_rate, args.steps, args.learning_rate / 20)
    optimizer = tf.keras.optimizers.legacy.Adagrad(rate, initial_accumulator_value=1.0)
    text = tf.constant(tokens)

    @tf.function
    def step():
        """Draw pairs from this rank's stretch, and take one step with the gradients of all ranks."""
        middle = tf.random.uniform((args.batch_size,), args.window, len(tokens) - args.window, tf.int32)
        away = tf.random.uniform((args.batch_size,), 1, args.window + 1, tf.int32)
        away *= 2 * tf.random.uniform((args.batch_size,), 0, 2, tf.int32) - 1
        with tf.GradientTape() as tape:
            loss = model.loss(tf.gather(text, middle), tf.gather(text, middle + away))
        # A step touches few rows of the tables, so only those travel.
        tape = hvd.DistributedGradientTape(tape, sparse_as_dense=False)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss / args.batch_size

    # Rank 0 keeps the checkpoints; all go on from the step that it has reached, with its vectors.
    done = tf.Variable(0, dtype=tf.int64)
    folder = os.environ.get("TRAINSTACK_CHECKPOINT_DIR") if rank == 0 else None
    kept = tf.train.Checkpoint(model=model, optimizer=optimizer, done=done)
    manager = tf.train.CheckpointManager(kept, folder, max_to_keep=1) if folder else None
    optimizer._create_all_weights(model.trainable_variables)
    if manager and manager.restore_or_initialize():
        print(f"going on after step {done.numpy()}", flush=True)
    hvd.broadcast_variables([done, *model.variables, *optimizer.variables()], root_rank=0)

    started, losses = time.perf_counter(), []
    for number in range(int(done.numpy()) + 1, args.steps + 1):
        losses.append(step())
        if number % args.log_every and number != args.steps:
            continue
        loss, losses = float(hvd.allreduce(tf.reduce_mean(losses))), []
        if rank == 0:
            mlflow.log_metric("loss", loss, step=number)
            print(f"step {number}: loss {loss:.3f}, {time.perf_counter() - started:.1f} s", flush=True)
        if manager and number % (5 * args.log_every) == 0:
            done.assign(number)
            manager.save()
    if rank != 0:
        return

    vectors = tf.math.l2_normalize(model.embeddings, axis=1).numpy()
    quality, asked = same_kind(vectors, index)
    mlflow.log_metrics({"same_kind": quality, "words_in_text": len(words)}, step=args.steps)
    for word in SHOWN:
        print(f"{word}: {', '.join(neighbours(vectors, vocabulary, index[word]))}", flush=True)
    print(f"of {asked} words, the nearest among them is of the same kind for {quality:.1%}", flush=True)
    here = Path("outputs/model")
    here.mkdir(parents=True, exist_ok=True)
    np.save(here / "embeddings.npy", vectors)
    (here / "vocabulary.json").write_text(json.dumps(vocabulary))


if __name__ == "__main__":
    main()
