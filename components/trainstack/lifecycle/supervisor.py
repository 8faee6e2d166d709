"""The process that drives one attempt of a run, and outlives the `pulumi up` that started it.

Started by `submission` as `python -m trainstack.lifecycle.supervisor RUN_DIRECTORY`, secrets on its standard input. It
holds the run's lock, is the only writer of `run.json`, takes the run through its four stages, and ends every process
that it started, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from types import FrameType

import trainstack.launch
from trainstack.errors import TrainstackError
from trainstack.launch.link import KEY_VARIABLE
from trainstack.launch.plan import LaunchPlan, ports_needed
from trainstack.launch.report import last_lines, read_report
from trainstack.lifecycle import arguments, compute, dataset, distribution, environment, snapshot
from trainstack.lifecycle.run import Failure, RunDirectory, RunRecord, RunRequest, Stage, Status
from trainstack.lifecycle.workspace import Workspace
from trainstack.store.atomic import disk_errors
from trainstack.store.digest import of_file
from trainstack.targets import Node, NodeSpec, Target
from trainstack.targets.local import LocalTarget
from trainstack.tracking import files as tracking

TICK = 0.05
HEARTBEAT = 1.0


class Stopped(Exception):
    """Somebody asked for the end of the run."""


class TrainingFailed(TrainstackError):
    """The script ended badly."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class Supervisor:
    """One attempt, from preparing to its end."""

    def __init__(self, directory: RunDirectory, secrets: dict[str, str]) -> None:
        self._directory = directory
        self._secrets = secrets
        self._workspace = Workspace.open(directory.root.parent.parent)
        self._request: RunRequest = directory.request()
        self._record: RunRecord = directory.read()
        self._target: Target = LocalTarget()
        self._stop_reason = ""
        self._beat = 0.0

    def run(self) -> None:
        """Drive the attempt to an end and write which one it was."""
        record = self._record
        record.attempt += 1
        record.supervisor = os.getpid()
        record.failure, record.stages, record.metrics, record.duration = None, [], {}, None
        self._stop_file.unlink(missing_ok=True)
        self._target.sweep(self._directory.root)
        started = time.time()
        try:
            with self._stage(Status.PREPARING, f"environment {self._request.environment['spec']['name']}"):
                python = self._prepare()
            with contextlib.ExitStack() as held:
                with self._stage(Status.SCALING, f"compute {self._request.compute['name']}"):
                    self._scale(held)
                with self._stage(Status.RUNNING, f"attempt {record.attempt}" if record.attempt > 1 else ""):
                    self._train(python)
            with self._stage(Status.FINALIZING, "keeping outputs"):
                self._finalize()
            record.duration = time.time() - started
            self._end(Status.COMPLETED, "")
        except Stopped as stop:
            self._end(Status.CANCELED, str(stop))
        except TrainingFailed as exc:
            record.failure = exc.failure
            self._end(Status.FAILED, str(exc))
        except TrainstackError as exc:
            self._end(Status.FAILED, str(exc))
        except Exception as exc:  # noqa: BLE001 (the record must not stay "running", and the trace is kept in our log)
            import traceback

            traceback.print_exc()
            where = self._directory.root / "supervisor.txt"
            self._end(Status.FAILED, f"{type(exc).__name__}: {exc}; the trace is in {where}")
        finally:
            self._target.sweep(self._directory.root)

    @property
    def _stop_file(self) -> Path:
        return self._directory.root / "stop"

    def request_stop(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler: end the run, with a checkpoint where the script makes one."""
        self._stop_reason = self._stop_reason or "stopped by a signal"

    def _stopped(self) -> bool:
        self._heartbeat()
        if not self._stop_reason and self._stop_file.exists():
            self._stop_reason = self._stop_file.read_text(encoding="utf-8").strip() or "stopped"
        return bool(self._stop_reason)

    def _check_stop(self) -> None:
        if self._stopped():
            raise Stopped(self._stop_reason)

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._beat >= HEARTBEAT:
            self._beat = now
            (self._directory.root / "heartbeat").touch()

    @contextlib.contextmanager
    def _stage(self, name: Status, reason: str) -> Iterator[None]:
        self._check_stop()
        stage = Stage(name=name, reason=reason, started=time.time())
        self._record.stages.append(stage)
        self._record.status, self._record.reason = name, reason
        self._directory.write(self._record)
        self._directory.event("stage", status=name.value, attempt=self._record.attempt, reason=reason)
        try:
            yield
        finally:
            stage.ended = time.time()

    def _because(self, reason: str) -> None:
        """Say what the current stage is doing now."""
        self._check_stop()
        self._record.stages[-1].reason = reason
        self._record.reason = reason
        self._directory.write(self._record)

    def _end(self, status: Status, reason: str) -> None:
        self._record.status, self._record.reason = status, reason
        self._record.metrics = tracking.last(self._directory.tracking)
        self._record.supervisor = None
        self._directory.write(self._record)
        self._directory.event("end", status=status.value, attempt=self._record.attempt, reason=reason)

    def _prepare(self) -> Path:
        """Environment, code, data and agent in place; returns the environment's interpreter."""
        directory, request = self._directory, self._request
        spec = environment.EnvironmentSpec.model_validate(request.environment["spec"])
        lock = environment.Lock.model_validate(request.environment["lock"])
        built = environment.build(spec, lock, self._because)
        self._because("code and data")
        for folder in (directory.code, directory.data, directory.root / "agent"):
            shutil.rmtree(folder, ignore_errors=True)
        with disk_errors(directory.root):
            for folder in (directory.code, directory.outputs, directory.logs, directory.checkpoints, directory.reports):
                folder.mkdir(parents=True, exist_ok=True)
        snapshot.link(request.spec.files, self._workspace.blobs, directory.code)
        for folder in (directory.outputs, directory.logs):
            (directory.code / folder.name).symlink_to(folder)
        for name, reference in request.datasets.items():
            record = dataset.find(self._workspace, reference["name"], int(reference["version"]))
            dataset.link_into(self._workspace, record, directory.data / name)
        agent = directory.root / "agent" / "trainstack"
        shutil.copytree(
            Path(trainstack.launch.__file__).parent, agent / "launch", ignore=shutil.ignore_patterns("__pycache__")
        )
        (agent / "__init__.py").touch()
        return built.python

    def _scale(self, held: contextlib.ExitStack) -> None:
        spec = compute.ComputeSpec.model_validate(self._request.compute)
        _, count = distribution.parse(self._request.spec.distribution)
        nodes = held.enter_context(compute.slots(self._workspace, spec, count, self._because, self._stopped))
        self._check_stop()
        self._because(f"{len(nodes)} of {spec.max_nodes} nodes of {spec.name}")

    def _train(self, python: Path) -> None:
        directory, request = self._directory, self._request
        spec = compute.ComputeSpec.model_validate(request.compute)
        folders = {name: str(directory.data / name) for name in request.datasets}
        launch_file = directory.root / "launch.json"
        spread, count = distribution.parse(request.spec.distribution)
        plan = LaunchPlan(
            distribution=spread,
            nodes=("127.0.0.1",) * count,
            ports=free_ports(ports_needed(spread, count)),
            script=request.spec.script,
            argv=tuple(arguments.argv(request.spec.arguments, folders)),
            code=str(directory.code),
            logs=str(directory.logs),
            outputs=str(directory.outputs),
            reports=str(directory.reports),
            cores=compute.node_capacity(spec).cpus,
            grace_seconds=request.grace,
            rank_variables=tracking.variables(directory.tracking),
        )
        plan.write(launch_file)
        for report in directory.reports.glob("*.json"):
            report.unlink()
        variables = {
            **request.spec.environment.variables,
            **request.spec.environment_variables,
            **self._secrets,
            "TRAINSTACK_RUN_ID": directory.id,
            "TRAINSTACK_CHECKPOINT_DIR": str(directory.checkpoints),
            # Agents of one run know each other by this; it lives in their environment and nowhere else.
            KEY_VARIABLE: token_hex(32),
        }
        nodes = [
            self._target.start(
                NodeSpec(
                    index=index,
                    python=python,
                    agent=directory.root / "agent",
                    plan=launch_file,
                    log=directory.merged_log,
                    marker=directory.root,
                    environment=variables,
                )
            )
            for index in range(count)
        ]
        self._watch(nodes)

    def _watch(self, nodes: list[Node]) -> None:
        """Wait until every node has ended well; one that ends badly, a stop or the deadline ends them all."""
        deadline = time.monotonic() + self._request.timeout if self._request.timeout else None
        try:
            while any(node.poll() is None for node in nodes):
                if any(node.poll() for node in nodes):
                    break
                self._check_stop()
                if deadline is not None and time.monotonic() > deadline:
                    self._end_gang(nodes)
                    raise TrainstackError(
                        f"stopped after its timeout of {self._request.timeout:g} s: raise `timeout` or train less"
                    )
                time.sleep(TICK)
        finally:
            codes = [node.poll() for node in nodes]
            self._end_gang(nodes)
        if any(codes):
            raise self._failure(codes)

    def _end_gang(self, nodes: list[Node]) -> None:
        for node in nodes:
            if node.poll() is None:
                node.terminate()
        # The agent needs a moment more than its ranks to write its report.
        deadline = time.monotonic() + self._request.grace + 2
        while any(node.poll() is None for node in nodes) and time.monotonic() < deadline:
            self._heartbeat()
            time.sleep(TICK)
        for node in nodes:
            if node.poll() is None:
                node.kill()

    def _failure(self, codes: list[int | None]) -> TrainingFailed:
        """Name the rank that failed first, how, and where to read on."""
        log = self._directory.merged_log
        for index in range(len(codes)):
            report = read_report(self._directory.reports, index)
            first = report.first_failure if report else None
            if report is None or first is None:
                continue
            if report.error:
                return TrainingFailed(report.error, Failure(tail=last_lines(log), log=str(log)))
            if first.rank is not None:
                log = self._directory.logs / f"rank-{first.rank}.txt"
            failure = Failure(
                rank=first.rank, exit_code=first.exit_code, signal=first.signal, tail=list(first.tail), log=str(log)
            )
            return TrainingFailed(f"{self._request.spec.script}: {first.reason}; its log is {log}", failure)
        index, code = next((index, code) for index, code in enumerate(codes) if code)
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return TrainingFailed(
            f"the agent of node {index} ended {how}; the log is {log}",
            Failure(signal=-code if code < 0 else None, exit_code=code if code > 0 else None, tail=last_lines(log)),
        )

    def _finalize(self) -> None:
        """Digest the outputs, so that drift can be told, and drop what only an unfinished run needs."""
        outputs = self._directory.outputs
        self._record.outputs = {
            path.relative_to(outputs).as_posix(): of_file(path) for path in sorted(outputs.rglob("*")) if path.is_file()
        }
        shutil.rmtree(self._directory.checkpoints, ignore_errors=True)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of 127.0.0.1 that nobody listens on; all are held until the last is found, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


def main(path: str) -> None:
    """Drive the run in `path`, unless somebody does already."""
    directory = RunDirectory(Path(path))
    secrets: dict[str, str] = json.loads(sys.stdin.read() or "{}")
    with directory.lock() as mine:
        if not mine:
            return
        supervisor = Supervisor(directory, secrets)
        signal.signal(signal.SIGTERM, supervisor.request_stop)
        signal.signal(signal.SIGINT, supervisor.request_stop)
        supervisor.run()


if __name__ == "__main__":
    main(sys.argv[1])
