"""A node as a pod."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from pathlib import Path

from trainstack.errors import TrainstackError
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.exec import run, script
from trainstack.targets.kubernetes.manifest import part
from trainstack.targets.kubernetes.pods import Pods, state, termination_reason

_KILL_SECONDS = 10.0
# An agent that was asked to end says so with 128 + SIGTERM; any other such code is the signal's own doing.
_ASKED_TO_END = 128 + signal.SIGTERM


class KubernetesNode:
    """A pod with a node's agent in it; how it fares is heard by the watch."""

    def __init__(self, api: KubernetesApi, pods: Pods, index: int, python: str, exit_code_file: Path) -> None:
        """Be node number `index`, whose pod is known; `exit_code_file` gets its agent's exit code from the pod."""
        self._exit_code_file = exit_code_file
        self._api = api
        self._pods = pods
        self._index = index
        self.python = python
        self._code: int | None = None

    @property
    def pod(self) -> str:
        """The name of its pod."""
        pod = self._pods.get(self._index)
        return pod["metadata"]["name"] if pod else ""

    @property
    def lost(self) -> bool:
        """Whether its pod is there no more, or holds nothing any longer."""
        pod = self._pods.get(self._index)
        return self._pods.gone(self._index) or pod is None or "terminated" in state(pod, labels.SIDECAR)

    @property
    def leaving(self) -> bool:
        """Whether the cluster is taking its pod away."""
        return "deletionTimestamp" in part(self._pods.get(self._index), "metadata")

    @property
    def termination_reason(self) -> str:
        """Why the cluster ended it, in its own words; empty where it did not."""
        return termination_reason(self._pods.get(self._index), gone=self._pods.gone(self._index))

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel ended something in it for want of memory, as the cluster tells."""
        pod = self._pods.get(self._index)
        return part(pod and state(pod, labels.NODE), "terminated").get("reason") == "OOMKilled"

    def poll(self) -> int | None:
        """Exit code of the agent, negative for a signal; none while it runs or its cluster is away."""
        if self._code is None:
            pod = self._pods.get(self._index)
            ended = state(pod, labels.NODE).get("terminated") if pod else None
            if ended:
                self._code = exit_code(int(ended.get("exitCode") or 0))
            elif part(pod, "metadata").get("deletionTimestamp") and (code := self._synced_exit_code()) is not None:
                self._code = exit_code(code)
            elif self._pods.gone(self._index) or (pod and part(pod, "status").get("phase") == "Failed"):
                self._code = -signal.SIGKILL
        return self._code

    def _synced_exit_code(self) -> int | None:
        """The exit code that was fetched, of which the cluster may say nothing for as long as the pod lasts."""
        try:
            return int(self._exit_code_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def terminate(self) -> None:
        """Send SIGTERM to the agent: it passes it on and keeps the grace period."""
        threading.Thread(target=self._signal, args=(signal.SIGTERM,), daemon=True, name="terminate").start()

    def kill(self) -> None:
        """SIGKILL the agent and all that it started; the pod stays until its outputs are fetched."""
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + _KILL_SECONDS
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def _signal(self, number: signal.Signals) -> None:
        # It has ended, or its cluster is away: the watch will tell.
        with contextlib.suppress(TrainstackError):
            command = [self.python, "-c", script("signal_agent"), str(int(number))]
            run(self._api, self.pod, labels.NODE, command)


def exit_code(code: int) -> int:
    """The agent's exit code, negative for a signal.

    Args:
        code: As the cluster has it.
    """
    return 128 - code if 128 < code < 128 + 65 and code != _ASKED_TO_END else code
