"""One worker or parameter server of TensorFlow, as a process: `python -m trainstack.agent.strategies.tf_server`.

It reads its position from TF_CONFIG and serves until it is ended: TensorFlow's servers never end by themselves. It
listens on all addresses, because TensorFlow's server offers no choice.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


def main() -> None:
    """Serve until the process is ended."""
    tf: Any = importlib.import_module("tensorflow")
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    config = tf.compat.v1.ConfigProto()
    # Each worker waits in one thread for every other task. With fewer threads than that they wait for each other.
    least = resolver.cluster_spec().num_tasks("worker") + 1
    config.inter_op_parallelism_threads = max(least, int(os.environ.get("TF_NUM_INTEROP_THREADS", "0")))
    server = tf.distribute.Server(
        resolver.cluster_spec(),
        job_name=resolver.task_type,
        task_index=resolver.task_id,
        protocol="grpc",
        config=config,
    )
    print(f"{resolver.task_type} {resolver.task_id} serves at {server.target}", flush=True)
    server.join()


if __name__ == "__main__":
    main()
