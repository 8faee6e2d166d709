"""Train dense layers on noise, the same amount a rank however many there are; log the examples a second of all.

Steps with the gradients of all ranks and steps with a rank's own take turns: what else happens on the machine slows
both alike, and their ratio is what the reduction costs.
"""

import argparse
import statistics
import time

import horovod.tensorflow as hvd
import tensorflow as tf

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, default=768)
parser.add_argument("--layers", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=4096)
parser.add_argument("--turns", type=int, default=6)
parser.add_argument("--steps", type=int, default=3, help="steps a turn")
args = parser.parse_args()

hvd.init()
tf.random.set_seed(hvd.rank())
layers = [
    tf.Variable(tf.random.normal((args.width, args.width), stddev=1 / args.width**0.5)) for _ in range(args.layers)
]
examples = tf.random.normal((args.batch_size, args.width))
optimizer = tf.keras.optimizers.legacy.SGD(1e-4)


def step_with(wrap):
    """One step, with what `wrap` makes of the gradients."""

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            signal = examples
            for weights in layers:
                signal = tf.nn.relu(signal @ weights)
            loss = tf.reduce_mean(tf.square(signal))
        optimizer.apply_gradients(zip(wrap(tape).gradient(loss, layers), layers, strict=True))
        return loss

    return step


def seconds(step):
    """Seconds of a turn, from when all ranks are ready until all are done."""
    hvd.allreduce(tf.zeros(1), name="ready")
    started = time.perf_counter()
    for _ in range(args.steps):
        loss = step()
    float(loss)
    hvd.allreduce(tf.zeros(1), name="done")
    return time.perf_counter() - started


together, apart = step_with(hvd.DistributedGradientTape), step_with(lambda tape: tape)
together(), apart()
turns = [(seconds(together), seconds(apart)) for _ in range(args.turns)]
if hvd.rank() == 0:
    trained = hvd.size() * args.batch_size * args.steps
    mlflow.log_metric("examples_per_second", trained / statistics.median(turn for turn, _ in turns))
    mlflow.log_metric("examples_per_second_apart", trained / statistics.median(turn for _, turn in turns))
    mlflow.log_metric("reduction", statistics.median(alone / turn for turn, alone in turns))
