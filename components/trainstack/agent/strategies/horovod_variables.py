"""Horovod's environment variables: which a launch sets, and those that stand for the options of a distribution."""

from __future__ import annotations

from pathlib import Path

from ..plan import Horovod

POSITION = ("HOSTNAME", "RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE", "CROSS_RANK", "CROSS_SIZE")
"""What tells a rank where it stands, each behind `HOROVOD_`."""
CONNECTION = ("CONTROLLER", "CPU_OPERATIONS", "GLOO_RENDEZVOUS_ADDR", "GLOO_RENDEZVOUS_PORT", "GLOO_IFACE")
"""What leads a rank to the others, each behind `HOROVOD_`."""


def launch_variables(options: Horovod) -> set[str]:
    """Return the names of the variables that each rank gets, whatever it is given under them.

    Args:
        options: The options; only those that are given set a variable.
    """
    names = {f"HOROVOD_{name}" for name in (*POSITION, *CONNECTION, *(("ELASTIC",) if options.elastic else ()))}
    return names | tuning_variables(options, "").keys()


def tuning_variables(options: Horovod, outputs: str) -> dict[str, str]:
    """Return Horovod's documented variables for the options that are given.

    Args:
        options: The options; None leaves a variable as the user has set it.
        outputs: Folder for the timeline and the autotune log, which rank 0 writes.
    """
    folder = Path(outputs)
    fusion = options.fusion_threshold_mb
    values = {
        "HOROVOD_FUSION_THRESHOLD": None if fusion is None else int(fusion * 1024 * 1024),
        "HOROVOD_CYCLE_TIME": options.cycle_time_ms,
        "HOROVOD_CACHE_CAPACITY": options.cache_capacity,
        "HOROVOD_AUTOTUNE": 1 if options.autotune else None,
        "HOROVOD_AUTOTUNE_LOG": folder / "horovod-autotune.csv" if options.autotune else None,
        "HOROVOD_TIMELINE": folder / "horovod-timeline.json" if options.timeline else None,
        "HOROVOD_STALL_CHECK_DISABLE": 1 if options.stall_check_seconds == 0 else None,
        "HOROVOD_STALL_CHECK_TIME_SECONDS": options.stall_check_seconds or None,
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": options.stall_shutdown_seconds,
        "HOROVOD_GLOO_TIMEOUT_SECONDS": options.gloo_timeout_seconds,
    }
    return {name: str(value) for name, value in values.items() if value is not None}
