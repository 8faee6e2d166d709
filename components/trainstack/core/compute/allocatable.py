"""What a machine leaves to a pod: less than it has, as the system, the kubelet and each node's own pods take a part.

No vendor's rule is the same. These two are on the safe side of those of GKE, EKS and AKS, with room for the pods that
every node of such clusters has.
"""

from __future__ import annotations

_EVICTION_AND_DAEMONS_GIB = 0.75
_KERNEL_SHARE = 0.025
# GKE's steps: up to so many GiB, this share is the kubelet's. AKS and EKS keep less of large machines.
_STEPS = ((4.0, 0.25), (8.0, 0.20), (16.0, 0.10), (128.0, 0.06), (float("inf"), 0.02))


def reserved_cpus(cpus: int) -> float:
    """CPUs that a machine with so many keeps: a third of one for daemons, and 1.5 % of all."""
    return round(0.33 + 0.015 * cpus, 3)


def memory_gib(machine_gib: float) -> float:
    """GiB that a machine with so many leaves to a pod; at least a quarter of them."""
    kept, below = _KERNEL_SHARE * machine_gib + _EVICTION_AND_DAEMONS_GIB, 0.0
    for limit, share in _STEPS:
        kept += share * max(0.0, min(machine_gib, limit) - below)
        below = limit
    return round(max(machine_gib - kept, machine_gib / 4), 2)
