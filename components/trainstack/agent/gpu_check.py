"""Whether TensorFlow sees a node's GPUs: where it sees none it trains on the processor, and says little of it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

from .errors import LaunchError

_TIMEOUT_SECONDS = 120.0
_CODE = """
import json, tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
print(json.dumps([tf.__version__, bool(tf.sysconfig.get_build_info().get("is_cuda_build")), len(gpus)]))
"""


def require_gpus(count: int) -> None:
    """Check that TensorFlow sees a node's GPUs, in a process of its own: importing it takes some seconds.

    An environment without TensorFlow is not looked at.

    Args:
        count: How many GPUs the node has for the run; 0 checks nothing.

    Raises:
        LaunchError: It sees fewer, or cannot be imported.
    """
    if count == 0 or importlib.util.find_spec("tensorflow") is None:
        return
    version, has_cuda, visible = _visible()
    if visible >= count:
        return
    missing = f"TensorFlow {version} sees {visible} of the {count} GPUs that the compute's node has"
    if not has_cuda:
        raise LaunchError(
            f"{missing}: it is built without CUDA: use the environment trainstack-tensorflow-2.21-gpu, or the package "
            "tensorflow[and-cuda]"
        )
    raise LaunchError(f"{missing}: look at `nvidia-smi` there, for the driver and for other processes")


def _visible() -> tuple[str, bool, int]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CODE],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as exc:
        raise LaunchError(f"TensorFlow did not say in {_TIMEOUT_SECONDS:g} s which GPUs it sees") from exc
    except subprocess.CalledProcessError as exc:
        reason = (exc.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise LaunchError(f"TensorFlow cannot be imported: {reason}") from exc
    answer: Any = json.loads(done.stdout.strip().splitlines()[-1])
    return str(answer[0]), bool(answer[1]), int(answer[2])
