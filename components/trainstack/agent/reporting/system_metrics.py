"""System metrics of a node while the ranks run, sampled by its agent under the names that MLflow itself uses.

Names and units are those of MLflow's system metrics (https://mlflow.org/docs/latest/ml/tracking/system-metrics/):
percent, megabytes of 10^6 bytes, watts; network traffic since the start. They are kept like metrics that a script logs,
in a folder of their own: `NODE/metrics/system/NAME`, a line `TIMESTAMP VALUE STEP` a sample.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

_MEGABYTE = 1e6
_PROC = Path("/proc")
# What `nvidia-smi` is asked for, and what MLflow calls it.
_GPU_QUERY = "utilization.gpu,memory.used,memory.total,power.draw"


class SystemMetrics:
    """Samples this machine, in a thread of its own, until it is closed."""

    def __init__(self, folder: Path, seconds: float) -> None:
        """Start sampling.

        Args:
            folder: The node's folder; made when missing.
            seconds: Between two samples; 0 for none.
        """
        self._folder = folder / "metrics" / "system"
        self._seconds = seconds
        self._step = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system metrics", daemon=True)
        self._before = processor_times()
        self._traffic = network_bytes()
        if seconds > 0:
            self._thread.start()

    def close(self) -> None:
        """Take a last sample, and end."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(self._seconds)
            # Metrics are worth nothing beside the training: what cannot be read or written is left out.
            with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
                self._write(self._sample())

    def _sample(self) -> dict[str, float]:
        busy, total = processor_times()
        spent = total - self._before[1]
        values = {"cpu_utilization_percentage": 100 * (busy - self._before[0]) / spent} if spent > 0 else {}
        self._before = busy, total
        received, sent = network_bytes()
        values["network_receive_megabytes"] = (received - self._traffic[0]) / _MEGABYTE
        values["network_transmit_megabytes"] = (sent - self._traffic[1]) / _MEGABYTE
        return values | memory() | disk(self._folder) | gpus()

    def _write(self, values: dict[str, float]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = int(time.time() * 1000)
        for name, value in values.items():
            with (self._folder / name).open("a", encoding="utf-8") as file:
                file.write(f"{now} {value:.6g} {self._step}\n")
        self._step += 1


def processor_times() -> tuple[float, float]:
    """Busy and total time of this machine's processors, in the kernel's own unit."""
    with contextlib.suppress(OSError, ValueError):
        # user, nice, system, idle, iowait, irq, softirq, steal; guests are counted as users already.
        times = [float(word) for word in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(times) - times[3] - times[4], sum(times)
    return 0.0, 0.0


def memory() -> dict[str, float]:
    """Memory in use: what the kernel could not give to a new program without swapping."""
    lines = (line.split(":") for line in (_PROC / "meminfo").read_text().splitlines())
    sizes = {name: float(value.split()[0]) * 1024 for name, value in lines}
    total, free = sizes["MemTotal"], sizes.get("MemAvailable", sizes["MemFree"])
    return {
        "system_memory_usage_megabytes": (total - free) / _MEGABYTE,
        "system_memory_usage_percentage": 100 * (total - free) / total,
    }


def disk(folder: Path) -> dict[str, float]:
    """How full the file system is that holds the nearest existing folder."""
    while not folder.exists():
        folder = folder.parent
    _, used, free = shutil.disk_usage(folder)
    return {
        "disk_usage_percentage": 100 * used / (used + free),
        "disk_usage_megabytes": used / _MEGABYTE,
        "disk_available_megabytes": free / _MEGABYTE,
    }


def network_bytes() -> tuple[float, float]:
    """Bytes received and sent over all interfaces of this network namespace."""
    received = sent = 0.0
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROC / "net" / "dev").read_text().splitlines()[2:]:
            counts = line.split(":", 1)[1].split()
            received, sent = received + float(counts[0]), sent + float(counts[8])
    return received, sent


def gpus() -> dict[str, float]:
    """The metrics of each GPU by NVIDIA's driver; empty where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return {}
    command = [program, f"--query-gpu={_GPU_QUERY}", "--format=csv,noheader,nounits"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True, env=dict(os.environ)).stdout
    values: dict[str, float] = {}
    for number, line in enumerate(output.splitlines()):
        busy, used, total, watts = line.split(",")
        mebi = 1024**2 / _MEGABYTE
        # A GPU that reports `[N/A]` for one of them still reports the others.
        with contextlib.suppress(ValueError):
            values[f"gpu_{number}_utilization_percentage"] = float(busy)
        with contextlib.suppress(ValueError, ZeroDivisionError):
            values[f"gpu_{number}_memory_usage_megabytes"] = float(used) * mebi
            values[f"gpu_{number}_memory_usage_percentage"] = 100 * float(used) / float(total)
        with contextlib.suppress(ValueError):
            values[f"gpu_{number}_power_usage_watts"] = float(watts)
    return values
