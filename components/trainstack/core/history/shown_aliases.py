"""A model's aliases as the tracking server shows them, where its page or a client can have moved them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from trainstack.core.tracking import tracking_server
from trainstack.core.tracking.queue import MODEL_PREFIX, is_pending
from trainstack.core.tracking.settings import read_settings
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError

_SECONDS = 5.0


def moved(workspace: Workspace, name: str, expected: Mapping[str, int]) -> list[str]:
    """Return a sentence for each alias that somebody moved or removed on the server.

    Args:
        workspace: The workspace.
        name: The model's name.
        expected: Its aliases, with the version of each.

    Returns:
        The sentences; none where no server answers, and none before it has been told of the model's last change.
    """
    served = not read_settings(workspace).embedded or tracking_server.running(workspace)
    if not expected or not served or is_pending(workspace, f"{MODEL_PREFIX}{name}"):
        return []
    with (
        contextlib.suppress(TrainstackError),
        contextlib.closing(tracking_server.connect(workspace, timeout=_SECONDS)) as server,
    ):
        response = server.get_or_none("registered-models/get", name=name)
        # A change of another process may be on its way meanwhile.
        if response is not None and not is_pending(workspace, f"{MODEL_PREFIX}{name}"):
            entries = response["registered_model"].get("aliases", [])
            shown = {entry["alias"]: int(entry["version"]) for entry in entries}
            return [
                f"alias {alias} is {f'version {shown[alias]}' if alias in shown else 'gone'} on the tracking server, "
                f"not version {version}"
                for alias, version in expected.items()
                if shown.get(alias) != version
            ]
    return []
