"""The running stage: start a node's agent each, watch them, end them as one, and say what failed first."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

from trainstack.errors import TrainstackError
from trainstack.launch.link import KEY_VARIABLE
from trainstack.launch.plan import LaunchPlan, free_ports
from trainstack.launch.report import last_lines, read_report
from trainstack.lifecycle import arguments, compute, distribution, retry
from trainstack.lifecycle.run import RunDirectory, RunRequest
from trainstack.lifecycle.run_record import Cause, Failure
from trainstack.targets import Node, NodeSpec, Target
from trainstack.tracking import files as tracking

TICK = 0.05
REPORT_SECONDS = 2.0
# What an agent ends with after SIGTERM, once its ranks have had their grace period.
ASKED_TO_END = 143


class TrainingFailed(TrainstackError):
    """The script ended badly."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class Training:
    """The nodes of one attempt."""

    def __init__(self, directory: RunDirectory, request: RunRequest, target: Target) -> None:
        self._directory = directory
        self._request = request
        self._target = target
        self._nodes: list[Node] = []
        self._oom_kills: int | None = None

    def start(self, python: Path, secrets: dict[str, str]) -> None:
        """Write the launch plan and start every node's agent.

        Args:
            python: The environment's interpreter.
            secrets: Values of the secret variables.

        Raises:
            TrainstackError: An agent could not be started.
        """
        directory = self._directory
        plan = self._plan()
        plan_file = directory.root / "launch.json"
        plan.write(plan_file)
        for report in directory.reports.glob("*.json"):
            report.unlink()
        spec = self._request.spec
        variables = {
            **spec.environment.variables,
            **spec.environment_variables,
            **secrets,
            "TRAINSTACK_RUN_ID": directory.id,
            "TRAINSTACK_CHECKPOINT_DIR": str(directory.checkpoints),
            # Agents of one run know each other by this; it lives in their environment and nowhere else.
            KEY_VARIABLE: token_hex(32),
        }
        self._oom_kills = retry.oom_kills()
        for index in range(len(plan.nodes)):
            node = NodeSpec(
                index=index,
                python=python,
                agent=directory.root / "agent",
                plan=plan_file,
                log=directory.merged_log,
                marker=directory.root,
                environment=variables,
            )
            self._nodes.append(self._target.start(node))

    def wait(self, check: Callable[[], None]) -> None:
        """Wait until every node has ended well.

        Args:
            check: Called all the time; may raise to end the wait.

        Raises:
            TrainingFailed: A node ended badly.
            TrainstackError: The run's time is over.
        """
        timeout = self._request.timeout
        deadline = time.monotonic() + timeout if timeout else None
        while any(node.poll() is None for node in self._nodes) and not any(node.poll() for node in self._nodes):
            check()
            if deadline is not None and time.monotonic() > deadline:
                raise TrainstackError(f"stopped after its timeout of {timeout:g} s: raise `timeout` or train less")
            time.sleep(TICK)
        if any(node.poll() for node in self._nodes):
            # The other agents learn of it by themselves, and then know better than we who failed first.
            self.end(check)
            raise self._failure()

    def end(self, heartbeat: Callable[[], None]) -> None:
        """End all nodes that still run: ask, wait for the grace period and their reports, then kill."""
        running = [node for node in self._nodes if node.poll() is None]
        for node in running:
            node.terminate()
        deadline = time.monotonic() + self._request.grace + REPORT_SECONDS
        while any(node.poll() is None for node in running) and time.monotonic() < deadline:
            heartbeat()
            time.sleep(TICK)
        for node in running:
            if node.poll() is None:
                node.kill()

    def _plan(self) -> LaunchPlan:
        directory, spec = self._directory, self._request.spec
        spread, count = distribution.parse(spec.distribution)
        folders = {name: str(directory.data / name) for name in self._request.datasets}
        cluster = compute.ComputeSpec.model_validate(self._request.compute)
        return LaunchPlan(
            distribution=spread,
            nodes=("127.0.0.1",) * count,
            ports=free_ports(spread, count),
            script=spec.script,
            argv=tuple(arguments.argv(spec.arguments, folders)),
            code=str(directory.code),
            logs=str(directory.logs),
            outputs=str(directory.outputs),
            reports=str(directory.reports),
            cores=compute.node_capacity(cluster).cpus,
            grace_seconds=self._request.grace,
            rank_variables=tracking.variables(directory.tracking),
        )

    def _failure(self) -> TrainingFailed:
        """Name the rank that failed first, how, and where to read on."""
        failure = self._first_failure()
        if retry.out_of_memory(failure, self._oom_kills, retry.oom_kills()):
            spec = compute.ComputeSpec.model_validate(self._request.compute)
            failure.cause = Cause.OUT_OF_MEMORY
            failure.reason += f" ({retry.memory_hint(compute.node_capacity(spec), spec.name)})"
        who = f"{self._request.spec.script}: " if failure.rank is not None else ""
        return TrainingFailed(f"{who}{failure.reason}; its log is {failure.log}", failure)

    def _first_failure(self) -> Failure:
        log = self._directory.merged_log
        for index in range(len(self._nodes)):
            report = read_report(self._directory.reports, index)
            first = report.first_failure if report else None
            if report is None or first is None:
                continue
            if report.error:
                return Failure(reason=report.error, tail=last_lines(log), log=str(log))
            if first.rank is None:
                return Failure(cause=Cause.LOST_NODE, reason=first.reason, tail=last_lines(log), log=str(log))
            return Failure(
                cause=Cause.EXIT_CODE if first.signal is None else Cause.SIGNAL,
                reason=first.reason,
                rank=first.rank,
                exit_code=first.exit_code,
                signal=first.signal,
                tail=list(first.tail),
                log=str(self._directory.logs / f"rank-{first.rank}.txt"),
            )
        return self._lost_agent([node.poll() or 0 for node in self._nodes])

    def _lost_agent(self, codes: list[int]) -> Failure:
        """No agent could say what failed: then the node itself was taken away, or its agent could not even start."""
        log = self._directory.merged_log
        # What was killed at once went first; the others were asked to end by it.
        index, code = min(((index, code) for index, code in enumerate(codes) if code), key=lambda each: each[1] >= 0)
        failure = Failure(tail=last_lines(log), log=str(log))
        if code < 0:
            failure.cause, failure.signal = Cause.LOST_NODE, -code
            failure.reason = f"node {index} was lost: its agent was ended by signal {-code}"
        elif code == ASKED_TO_END:
            failure.cause = Cause.LOST_NODE
            failure.reason = f"node {index} was taken away: its agent was asked to end, and not by this run"
        else:
            failure.exit_code = code
            failure.reason = f"the agent of node {index} ended with exit code {code}"
        return failure
