"""A run that is driven at its place and not by this machine: submitted, followed and stopped through the store.

The workspace is in an object store, which the run's driver writes and everybody reads. So whoever follows may leave at
any time, and whoever comes later finds the same run.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainstack.core.compute import compute
from trainstack.core.environments import environment
from trainstack.core.images.registry import PASSWORD
from trainstack.core.replication import driver_package, shared
from trainstack.core.replication.changes import push_changes
from trainstack.core.replication.run_view import RunView
from trainstack.core.runs.directory import RunDirectory, RunRecord, Status
from trainstack.core.runs.execution import following, runtime, submission
from trainstack.core.runs.execution.submission import Outcome
from trainstack.core.runs.request import RunRequest
from trainstack.core.runs.reserve import STOP
from trainstack.core.workspace.store_cache import address_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import RunFailedError, TrainstackError
from trainstack.storage.addresses import open_store
from trainstack.targets.base import DriverHost, DriverSpec, DriverState, RunRef

if TYPE_CHECKING:
    from trainstack.core.images.image import Image

ENVIRONMENT = "driver"
"""The curated environment of drivers."""
_LOOK_SECONDS = 1.0
_STATE_SECONDS = 5.0
_LOST_SECONDS = 60.0


@dataclass(frozen=True)
class DrivenRun:
    """A run of a workspace in an object store, of a compute that has drivers.

    Attributes:
        workspace: This machine's copy.
        run_id: The run.
        host: What drives it.
    """

    workspace: Workspace
    run_id: str
    host: DriverHost

    @property
    def directory(self) -> RunDirectory:
        """This machine's copy of its directory."""
        return RunDirectory(self.workspace.run(self.run_id))

    @property
    def ref(self) -> RunRef:
        """It, as its target knows it."""
        return RunRef(self.directory.root, self.workspace.id)

    @property
    def address(self) -> str:
        """The store."""
        return address_of(self.workspace.root)

    def submit(
        self,
        request: RunRequest,
        source: Path,
        secrets: dict[str, str],
        progress: Callable[[str], None],
    ) -> Outcome:
        """Make sure that the run is done, or that a driver takes it there.

        Args:
            request: What to run and how.
            source: The folder that the snapshot in `request` was taken of.
            secrets: Values of the secret variables, and the registry's password where there is one.
            progress: Told, in a few words, what takes time.

        Returns:
            What it came to.

        Raises:
            TrainstackError: The store or the cluster refuses or does not answer, or an image cannot be built.
        """
        store = open_store(self.address)
        with contextlib.closing(RunView(self.workspace, store, self.run_id)) as view:
            record, driven = self._without_an_ending_driver(view, progress)
        if record is not None and record.status is Status.COMPLETED:
            return Outcome.ADOPTED
        if record is not None and driven:
            return Outcome.ATTACHED
        driver = self._image(request, secrets, progress)
        request = request.model_copy(update={"runtime": runtime.ready(request, secrets, progress)})
        with shared.updating(self.workspace, f"runs/{self.run_id}", lambda owner: progress(f"waits for {owner}")):
            submitted = submission.submit(self.workspace, request, source, secrets, supervise=False)
            if submitted.outcome is Outcome.ADOPTED:
                return submitted.outcome
            store.delete(f"runs/{self.run_id}/{STOP}")
            push_changes(self.workspace, store, [f"runs/{self.run_id}"], going_on=True)
        progress("starts its driver in the cluster")
        self.host.start(
            self.ref,
            DriverSpec(
                image=driver.reference,
                python=driver.python,
                address=self.address,
                package=driver_package.upload(store),
                secrets={name: value for name, value in secrets.items() if name != PASSWORD},
                stack=request.tags.get("stack", ""),
            ),
        )
        return submitted.outcome

    def follow(self, progress: Callable[[str], None]) -> RunRecord:
        """Wait for the run's end, telling its progress in one line at a time.

        Returns:
            The record of the completed run.

        Raises:
            RunFailedError: It failed or was canceled; says how.
            TrainstackError: Its driver is gone.
        """
        with contextlib.closing(RunView(self.workspace, open_store(self.address), self.run_id)) as view:
            record = self._follow(view, progress)
            if record.status is not Status.COMPLETED:
                raise RunFailedError(following.failure_text(record))
        self.directory.refresh()
        self.directory.fetch_records()
        return record

    def _follow(self, view: RunView, progress: Callable[[str], None]) -> RunRecord:
        state, looked, active = DriverState(active=True), float("-inf"), time.monotonic()
        while True:
            try:
                record = view.look()
                if record is not None and record.status.ended:
                    return record
                if time.monotonic() - looked > _STATE_SECONDS:
                    state, looked = self.host.state(self.ref), time.monotonic()
                if record is not None:
                    waits = f" · its driver: {state.reason}" if state.reason else ""
                    progress(following.progress_line(view.directory, record) + waits)
            except TrainstackError as exc:
                # A store or a cluster that is away for a while does not end what runs there.
                progress(f"goes on, and is not seen from here: {exc}")
                active = time.monotonic()
            active = time.monotonic() if state.active else active
            if time.monotonic() - active > _LOST_SECONDS:
                raise TrainstackError(
                    f"run {self.run_id} has no driver in the cluster any more"
                    f"{': ' + state.reason if state.reason else ''}; run `pulumi up` again to go on from what it saved"
                )
            time.sleep(_LOOK_SECONDS)

    def stop(self, reason: str) -> RunRecord:
        """Ask for the run's end, and wait for it.

        Args:
            reason: Kept as the run's reason.

        Returns:
            Its record.

        Raises:
            TrainstackError: It has ended already, or has no driver; or the store or the cluster does not answer.
        """
        store = open_store(self.address)
        with contextlib.closing(RunView(self.workspace, store, self.run_id)) as view:
            record = view.look()
            if record is None or record.status.ended:
                is_ended = f"is {record.status.value}" if record else "was never submitted"
                raise TrainstackError(f"run {self.run_id} {is_ended}: there is nothing to stop")
            with contextlib.suppress(FileExistsError):
                store.create(f"runs/{self.run_id}/{STOP}", reason.encode())
            while (record := view.look()) is None or not record.status.ended:
                if not self.host.state(self.ref).active:
                    raise TrainstackError(
                        f"run {self.run_id} has no driver in the cluster: `pulumi up` goes on with it"
                    )
                time.sleep(_LOOK_SECONDS)
        return record

    def _without_an_ending_driver(
        self, view: RunView, progress: Callable[[str], None]
    ) -> tuple[RunRecord | None, bool]:
        """Return the run's record, and whether a driver has it: one that has told the run's end is waited for."""
        until = time.monotonic() + _LOST_SECONDS
        while True:
            record = view.look()
            driven = record is not None and self.host.state(self.ref).active
            if record is None or not driven or not record.status.ended or record.status is Status.COMPLETED:
                return record, driven
            if time.monotonic() > until:
                raise TrainstackError(
                    f"run {self.run_id} is {record.status.value}, and its driver does not end; run `pulumi up` again, "
                    "or remove the driver's Job"
                )
            progress("waits for the end of its last driver")
            time.sleep(_LOOK_SECONDS)

    def _image(self, request: RunRequest, secrets: dict[str, str], progress: Callable[[str], None]) -> Image:
        spec = environment.get_curated(ENVIRONMENT)
        base = request.environment.spec.base_image
        if base and not request.environment.spec.only_image:
            spec = spec.model_copy(update={"base_image": base})
        lock = environment.lock(spec, progress=progress, here=False)
        return runtime.as_image(request, spec, lock, secrets, progress)


def driven_run(workspace: Workspace, run_id: str, spec: compute.ComputeSpec) -> DrivenRun | None:
    """Return a run as one that is driven at its place; none where this machine drives it.

    Args:
        workspace: The workspace, in a folder or this machine's copy of one in an object store.
        run_id: The run.
        spec: The compute that it is to run on.
    """
    if not spec.plugin.drives_runs(spec) or not address_of(workspace.root):
        return None
    return DrivenRun(workspace, run_id, spec.plugin.driver_host(spec))
