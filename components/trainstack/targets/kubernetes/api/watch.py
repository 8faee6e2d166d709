"""Hear of objects of the API server as they change: one question, then one connection that is renewed now and then."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any

from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.manifest import Manifest, parts

WATCH_SECONDS = 240
"""How long a connection is asked for: machines on the way forget those that live for longer."""
_PAUSE_SECONDS = 2.0


class Watch:
    """A listing of the API server that is kept up to date by what the server tells."""

    def __init__(
        self,
        api: KubernetesApi,
        what: str,
        call: Callable[..., Any],
        listed: Callable[[list[Manifest]], None],
        changed: Callable[[Manifest, bool], None],
        **selectors: str,
    ) -> None:
        """Ask once.

        Args:
            api: The cluster.
            what: What is listed, for people.
            call: The client's function that lists it in a namespace.
            listed: Told all that there is, now and after each outage.
            changed: Told what is new or other, and whether it has gone.
            selectors: What to list: `label_selector`, `field_selector`.

        Raises:
            TrainstackError: The cluster does not answer.
        """
        self._api = api
        self._call = call
        self._listed = listed
        self._changed = changed
        self._selectors = selectors
        self._closed = threading.Event()
        self._response: Any = None
        self._name = what
        with api.errors(f"looking for {what}"):
            self._version = self._list()

    def follow(self) -> None:
        """Go on hearing from here."""
        threading.Thread(target=self._follow, args=(self._version,), daemon=True, name=self._name).start()

    def close(self) -> None:
        """Hear no more."""
        self._closed.set()
        with contextlib.suppress(Exception):
            self._response.shutdown()

    def _list(self) -> str:
        answer = self._call(
            self._api.namespace, **self._selectors, _preload_content=False, _request_timeout=ANSWER_SECONDS
        )
        document: Manifest = json.loads(answer.data)
        self._listed(parts(document, "items"))
        return str(document["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> None:
        while not self._closed.is_set():
            try:
                version = self._hear(version or self._list())
            except Exception:  # noqa: BLE001 (an outage of the cluster is no end of the nodes; we list again after it)
                version = ""
                self._closed.wait(_PAUSE_SECONDS)

    def _hear(self, version: str) -> str:
        """Hear of changes since `version` until the server ends the stream; gives where to go on, empty to list."""
        self._response = response = self._call(
            self._api.namespace,
            **self._selectors,
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            _preload_content=False,
            _request_timeout=(ANSWER_SECONDS, WATCH_SECONDS + ANSWER_SECONDS),
        )
        buffered = b""
        try:
            for piece in response.stream(None):
                *lines, buffered = (buffered + piece).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return ""
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._changed(event["object"], event["type"] == "DELETED")
        finally:
            response.close()
        return version
