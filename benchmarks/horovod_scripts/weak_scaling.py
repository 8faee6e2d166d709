"""Train dense layers on noise, the same amount a rank however many there are; log the examples a second of all."""

import argparse
import time

import horovod.tensorflow as hvd
import mlflow
import tensorflow as tf

parser = argparse.ArgumentParser()
parser.add_argument("--width", type=int, default=768)
parser.add_argument("--layers", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=1024)
parser.add_argument("--steps", type=int, default=25)
args = parser.parse_args()

hvd.init()
tf.random.set_seed(hvd.rank())
layers = [
    tf.Variable(tf.random.normal((args.width, args.width), stddev=1 / args.width**0.5)) for _ in range(args.layers)
]
examples = tf.random.normal((args.batch_size, args.width))
optimizer = tf.keras.optimizers.legacy.SGD(1e-4)


@tf.function
def step():
    """One step with the gradients of all ranks."""
    with tf.GradientTape() as tape:
        signal = examples
        for weights in layers:
            signal = tf.nn.relu(signal @ weights)
        loss = tf.reduce_mean(tf.square(signal))
    tape = hvd.DistributedGradientTape(tape)
    optimizer.apply_gradients(zip(tape.gradient(loss, layers), layers, strict=True))
    return loss


for _ in range(3):
    step()
hvd.allreduce(tf.zeros(1), name="together")
started = time.perf_counter()
for _ in range(args.steps):
    loss = step()
float(loss)
hvd.allreduce(tf.zeros(1), name="done")
seconds = time.perf_counter() - started
if hvd.rank() == 0:
    mlflow.log_metric("examples_per_second", hvd.size() * args.batch_size * args.steps / seconds)
    mlflow.log_metric("milliseconds_per_step", 1000 * seconds / args.steps)
