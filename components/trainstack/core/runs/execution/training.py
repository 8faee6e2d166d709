"""The running stage: start a node's agent each, watch them, end them as one."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex

from trainstack.agent.plan import KEY_VARIABLE, SCRIPT_PATH_VARIABLE, LaunchPlan
from trainstack.core.compute import compute
from trainstack.core.images.registry import PASSWORD
from trainstack.core.runs import arguments, cost, distribution
from trainstack.core.runs.directory import Failure, RunDirectory
from trainstack.core.runs.execution.first_failure import first_failure
from trainstack.core.runs.request import RunRequest
from trainstack.errors import RunFailedError, TrainstackError
from trainstack.mlflow import metric_files as tracking
from trainstack.targets.base import NodeGroup, NodeGroupSpec, RunRef, Runtime, Target

TICK = 0.02
REPORT_SECONDS = 2.0


class TrainingFailedError(RunFailedError):
    """The training script failed.

    Attributes:
        failure: Which rank failed first, and how.
    """

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class Training:
    """The nodes of one attempt."""

    def __init__(
        self,
        directory: RunDirectory,
        request: RunRequest,
        target: Target,
        ref: RunRef,
        group: NodeGroup | None = None,
        waiting: Callable[[str], None] = lambda _: None,
        all_running: Callable[[], None] = lambda: None,
    ) -> None:
        """Be the nodes of an attempt.

        Args:
            directory: The run.
            request: What was submitted.
            target: Where the nodes are.
            ref: The run as the target knows it.
            group: The nodes, where they run already.
            waiting: Told again and again what a start waits for; may raise to end it.
            all_running: Called when a start has all nodes running; may raise to end it.
        """
        self._waiting = waiting
        self._all_running = all_running
        self._directory = directory
        self._request = request
        self._target = target
        self._ref = ref
        self._group = group

    def start(self, runtime: Runtime, attempt: int, secrets: dict[str, str]) -> None:
        """Write the launch plan and start every node's agent.

        Args:
            runtime: The environment where the nodes are.
            attempt: The attempt's number.
            secrets: Values of the secret variables.

        Raises:
            TrainstackError: An agent could not be started.
        """
        directory, request = self._directory, self._request
        plan = self._plan()
        plan.write(directory.root / "launch.json")
        spec = request.spec
        variables = {
            **spec.environment.variables,
            **spec.environment_variables,
            **{name: value for name, value in secrets.items() if name != PASSWORD},
            "TRAINSTACK_RUN_ID": directory.id,
            "TRAINSTACK_CHECKPOINT_DIR": str(self._target.layout(self._ref).checkpoints),
            # Agents of one run know each other by this; it lives in their environment and nowhere else.
            KEY_VARIABLE: token_hex(32),
        }
        if declared := variables.pop("PYTHONPATH", ""):
            variables[SCRIPT_PATH_VARIABLE] = declared
        self._group = self._target.start(
            self._ref,
            NodeGroupSpec(
                attempt=attempt,
                node_count=len(plan.nodes),
                runtime=runtime,
                holds=compute.node_capacity(request.compute),
                name=request.name,
                stack=request.tags.get("stack", ""),
                variables=variables,
                private_network=plan.distribution.trusts_network and not request.allow_network,
                waiting=self._waiting,
                all_running=self._all_running,
            ),
        )

    def wait(self, check: Callable[[], None], *, elapsed: float = 0.0, budget: float | None = None) -> None:
        """Wait until every node has ended well, and everything that they wrote is in the run directory.

        Args:
            check: Called all the time; may raise to end the wait.
            elapsed: Seconds that the nodes have been running already.
            budget: Seconds that they may run by the run's `max_cost`; none for no limit.

        Raises:
            TrainingFailedError: A node ended badly.
            TrainstackError: The run's time is over, or its `max_cost` is spent.
        """
        timeout = self._request.timeout
        begun = time.monotonic() - elapsed
        group = self._group
        if group is None:
            return
        while any(node.poll() is None for node in group.nodes) and not any(node.poll() for node in group.nodes):
            check()
            if timeout and time.monotonic() > begun + timeout:
                raise TrainstackError(f"stopped after its timeout of {timeout:g} s: raise `timeout` or train less")
            if budget is not None and time.monotonic() > begun + budget:
                raise TrainstackError(cost.over(self._request))
            time.sleep(TICK)
        failed = any(node.poll() for node in group.nodes)
        # The other agents learn of a failure by themselves, and then know better than we who failed first.
        self.end(check)
        if failed:
            failure = first_failure(self._directory, group, self._request)
            who = f"{self._request.spec.program}: " if failure.rank is not None else ""
            raise TrainingFailedError(f"{who}{failure.reason}; its log is {failure.log}", failure)

    def end(self, check: Callable[[], None] = lambda: None) -> None:
        """End all nodes that still run: ask, wait for the grace period and their reports, kill; fetch all outputs.

        Args:
            check: Called all the time; may raise to end the wait.
        """
        group = self._group
        if group is None:
            return
        running = [node for node in group.nodes if node.poll() is None]
        for node in running:
            node.terminate()
        deadline = time.monotonic() + self._request.grace + REPORT_SECONDS
        while any(node.poll() is None for node in running) and time.monotonic() < deadline:
            check()
            time.sleep(TICK)
        for node in running:
            if node.poll() is None:
                node.kill()
        self._group = None
        group.wait_synced()

    def _plan(self) -> LaunchPlan:
        spec = self._request.spec
        spread, count = distribution.parse(spec.distribution)
        layout = self._target.layout(self._ref)
        folders = {name: str(layout.data / name) for name in self._request.datasets}
        addresses = self._target.addresses(self._ref, spread, count)
        node = compute.node_capacity(self._request.compute)
        return LaunchPlan(
            distribution=spread,
            nodes=addresses.nodes,
            ports=addresses.ports,
            script=spec.script,
            module=spec.module,
            argv=tuple(arguments.argv(spec.arguments, folders)),
            code=str(layout.code),
            outputs=str(layout.outputs),
            reports=str(layout.nodes),
            cores=node.cpus,
            gpus=(node.gpus or 0) if compute.has_gpus(self._request.compute) and node.gpu_vendor == "nvidia" else 0,
            grace_seconds=self._request.grace,
            tracking=str(layout.tracking),
            system_seconds=self._request.system_metrics,
            log_bytes=int(self._request.log_limit * 2**20),
            rank_variables=tracking.variables(layout.tracking),
        )
