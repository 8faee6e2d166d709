"""Reduce one tensor over all ranks again and again; log the median of the milliseconds that it takes."""

import argparse
import statistics
import time

import horovod.tensorflow as hvd
import tensorflow as tf

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--mebibytes", type=int, default=64)
parser.add_argument("--times", type=int, default=25)
args = parser.parse_args()

hvd.init()
tensor = tf.random.normal((args.mebibytes * 2**18,))


@tf.function
def reduce():
    """Sum over the ranks."""
    return hvd.allreduce(tensor, op=hvd.Sum, name="tensor")


for _ in range(5):
    reduce()
found = []
for _ in range(args.times):
    hvd.allreduce(tf.zeros(1), name="together")
    started = time.perf_counter()
    total = reduce()
    float(total[0])
    found.append(time.perf_counter() - started)
if hvd.rank() == 0:
    mlflow.log_metric("milliseconds", 1000 * statistics.median(found))
