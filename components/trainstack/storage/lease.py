"""A lease: the right of one process, among those of any number of machines, to write certain records for a while.

It is a record `locks/NAME.json` of the store, with its owner and a fencing token that grows with each owner. The owner
renews it; who finds it unchanged for as long as it lasts takes it over. Nobody compares clocks of two machines: what
counts is the time that passes on one, sleep of the machine included.

A process that was paused past its lease (SIGSTOP, a closed lid) may write before it learns of it. So whoever takes a
lease over first stamps the records under it with its token, by `claim`. Each write replaces the version that its writer
has read: from the stamp on, no write of the owner before goes through.

After: Martin Kleppmann, "How to do distributed locking" (2016), on fencing tokens; client-go's leader election, on
observing instead of comparing clocks.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from trainstack.errors import TrainstackError
from trainstack.storage.store import Store, VersionConflictError

SECONDS = 30.0
"""How long a lease lasts without being renewed, when left out."""
TOKEN = "fencing_token"  # noqa: S105 (no secret)
"""The field of a record that holds the token of the owner that has claimed it."""
_RENEWALS = 3  # a lease, so that two may fail


class LeaseHeldError(TrainstackError):
    """Another process has the lease."""


class LeaseLostError(TrainstackError):
    """Another process has taken over the lease of this one."""


@dataclass
class Lease:
    """A lease that this process has taken.

    Attributes:
        store: Where it is kept.
        name: What it is for, such as `runs/0123456789abcdef`.
        owner: Who has it, for people.
        token: The fencing token: one more than that of the owner before.
        seconds: How long it lasts without being renewed.
    """

    store: Store
    name: str
    owner: str
    token: int
    seconds: float
    _version: str
    _renewed: float
    _lost: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def renew(self) -> None:
        """Make the lease last for its whole time from now on.

        Raises:
            LeaseLostError: It was taken over.
            UnreachableError: The store does not answer; the lease still lasts for a while.
        """
        with self._lock:
            began = _clock()
            try:
                self._version = self.store.replace(_key(self.name), self._record(self.owner), self._version)
            except VersionConflictError as exc:
                self._lost = "another process has taken it over"
                raise self._error() from exc
            self._renewed = began

    def require(self) -> None:
        """Check that nobody has taken the lease over, nor can at once; renews it where it has run out.

        Raises:
            LeaseLostError: Somebody has.
            UnreachableError: It has run out, and the store does not answer.
        """
        if self._lost:
            raise self._error()
        if _clock() - self._renewed >= self.seconds:
            self.renew()

    def claim(self, key: str) -> None:
        """Stamp a record with the token, if there is one, so that no older owner can replace it any more.

        Args:
            key: The record, a JSON object.

        Raises:
            LeaseLostError: A newer owner has claimed it, or has taken over the lease.
            UnreachableError: The store does not answer.
        """
        while True:
            try:
                entry = self.store.get(key)
            except FileNotFoundError:
                return
            document: dict[str, Any] = json.loads(entry.data)
            if document.get(TOKEN, 0) > self.token:
                self._lost = "another process has taken it over"
                raise self._error()
            if document.get(TOKEN) == self.token:
                return
            # Between taking the lease and here this process may have been paused past it, and its successor done with
            # the record already. A takeover later than this renewal changes the version that was read above.
            self.renew()
            with contextlib.suppress(VersionConflictError):
                self.store.replace(key, _json({**document, TOKEN: self.token}), entry.version)
                return

    def release(self) -> None:
        """Give the lease back; its record stays, because the token must never start again."""
        with self._lock, contextlib.suppress(VersionConflictError):
            self._version = self.store.replace(_key(self.name), self._record(""), self._version)
        self._lost = self._lost or "it was released"

    def _record(self, owner: str) -> bytes:
        # The nonce: object stores may give equal bytes the same version, and each renewal must be told from the last.
        return _json({"owner": owner, "token": self.token, "seconds": self.seconds, "nonce": secrets.token_hex(8)})

    def _error(self) -> LeaseLostError:
        return LeaseLostError(
            f"{self.owner} has lost the lease of {self.name} in {self.store.address}: {self._lost}; run it again"
        )


def _nothing(_owner: str) -> None:
    return


def acquire(
    store: Store,
    name: str,
    owner: str,
    *,
    seconds: float = SECONDS,
    patience: float = 0.0,
    on_wait: Callable[[str], None] = _nothing,
) -> Lease:
    """Take a lease.

    Args:
        store: Where it is kept.
        name: What it is for.
        owner: Who takes it, for people: a machine and what runs there.
        seconds: How long it lasts without being renewed.
        patience: Seconds to wait for another owner. One that is dead is waited out in the time that its lease lasts.
        on_wait: Called once with the other owner before waiting.

    Raises:
        LeaseHeldError: Another owner still has it; says who.
    """
    deadline = _clock() + patience
    unchanged: tuple[str, float] | None = None
    while True:
        began = _clock()
        lease = Lease(store, name, owner, 1, seconds, "", began)
        try:
            entry = store.get(_key(name))
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                lease._version = store.create(_key(name), lease._record(owner))  # pyright: ignore[reportPrivateUsage]
                return lease
            continue
        last: dict[str, Any] = json.loads(entry.data)
        if unchanged is None or unchanged[0] != entry.version:
            unchanged = (entry.version, _clock())
        if not last["owner"] or began - unchanged[1] >= last["seconds"]:
            lease.token = last["token"] + 1
            with contextlib.suppress(VersionConflictError):
                lease._version = store.replace(_key(name), lease._record(owner), entry.version)  # pyright: ignore[reportPrivateUsage]
                return lease
            continue
        if (left := deadline - _clock()) <= 0:
            raise LeaseHeldError(f"{last['owner']} has the lease of {name} in {store.address}: wait, or end that first")
        on_wait(str(last["owner"]))
        on_wait = _nothing
        time.sleep(min(left, last["seconds"] / 10, 1.0))


def owner_of(store: Store, name: str) -> str:
    """Return who took a lease last and has not given it back; empty for nobody. The owner may be dead."""
    try:
        return str(json.loads(store.get(_key(name)).data)["owner"])
    except FileNotFoundError:
        return ""


def owner_here(label: str) -> str:
    """Return what a process of this machine is called as an owner.

    Args:
        label: Which process, for people.
    """
    return f"{socket.gethostname()}, {label}"


def is_here(owner: str) -> bool:
    """Return whether an owner is a process of this machine."""
    return owner.startswith(owner_here("").rstrip())


@contextlib.contextmanager
def taken(
    store: Store,
    name: str,
    label: str,
    *,
    patience: float = float("inf"),
    on_wait: Callable[[str], None] = _nothing,
) -> Generator[Lease]:
    """Take a lease for the length of a `with` block: `acquire`, then `held`.

    Args:
        store: Where it is kept.
        name: What it is for.
        label: Which process of this machine takes it, for people.
        patience: As of `acquire`; without end when left out.
        on_wait: As of `acquire`.

    Raises:
        LeaseHeldError: Another owner still has it; says who.
    """
    acquired = acquire(store, name, owner_here(label), patience=patience, on_wait=on_wait)
    with held(acquired) as lease:
        yield lease


@contextlib.contextmanager
def held(lease: Lease) -> Generator[Lease]:
    """Renew a lease in a thread for the length of a `with` block, and release it at the end.

    Whether it lasted is known by `Lease.require`, which every write of a record calls.
    """
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease.seconds / _RENEWALS):
            try:
                lease.renew()
            except LeaseLostError:
                return
            except TrainstackError:
                continue

    thread = threading.Thread(target=renew, name=f"lease of {lease.name}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        done.set()
        thread.join()
        with contextlib.suppress(TrainstackError):
            lease.release()


def _clock() -> float:
    """Seconds that pass also while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _key(name: str) -> str:
    return f"locks/{name}.json"


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()
