"""Show what a run does that another machine drives, for as long as this one waits for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from trainstack.core.replication.run_view import RunView
from trainstack.core.runs.execution.following import progress_line
from trainstack.core.workspace.store_cache import address_of
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage.addresses import open_store

_LOOK_SECONDS = 1.0


class Waiting:
    """The wait for a run of a workspace in an object store; a context manager that ends with it."""

    def __init__(self, workspace: Workspace, run_id: str, progress: Callable[[str], None]) -> None:
        """Wait for a run, if it comes to that.

        Args:
            workspace: This machine's copy of the workspace.
            run_id: The run.
            progress: Told the run's state, in one line, when it changes.
        """
        self._workspace = workspace
        self._run_id = run_id
        self._progress = progress
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def show(self, owner: str) -> None:
        """Begin to show the run.

        Args:
            owner: Who drives it, for people.
        """
        self._progress(f"waits for {owner}")
        self._thread = threading.Thread(target=self._show, args=(owner,), daemon=True, name="waiting")
        self._thread.start()

    def end(self) -> None:
        """Show nothing more; the wait is over."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self, owner: str) -> None:
        store, last = open_store(address_of(self._workspace.root)), ""
        with contextlib.closing(RunView(self._workspace, store, self._run_id)) as view:
            while not self._ended.wait(_LOOK_SECONDS):
                # A store that is away for a while says nothing new.
                with contextlib.suppress(TrainstackError):
                    record = view.look()
                    if record is not None and not record.status.ended:
                        line = f"{progress_line(view.directory, record)} · driven by {owner}"
                        if line != last:
                            self._progress(last := line)
