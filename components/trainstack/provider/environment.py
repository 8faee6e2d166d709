"""Training environments: locked in check, built once a machine, named by the lock's digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult
from pulumi.runtime.rpc import UNKNOWN

from trainstack.lifecycle import environment
from trainstack.lifecycle.project import project_root
from trainstack.provider.base import LifecycleProvider, Properties, integral, known, own, row


def declared(described: Mapping[str, Any]) -> environment.EnvironmentSpec:
    """The environment that a resource's inputs describe."""
    return environment.declared(integral(described), project_root())


class EnvironmentProvider(LifecycleProvider):
    """A locked and built environment; a changed lock is another environment under the same name."""

    identity = ()
    content = ("spec", "digest", "packages")

    def accept(self, news: Properties) -> Properties:
        """Resolve the lock, so that preview names each package that would change and each that does not exist."""
        inputs = dict(news)
        if not known(inputs["spec"]):
            return inputs
        spec = declared(inputs["spec"])
        try:
            lock = environment.lock(spec, progress=row(inputs).progress, retries=0)
        except environment.IndexUnreachableError as exc:
            row(inputs).warn(str(exc))
            inputs |= {"digest": UNKNOWN, "packages": UNKNOWN}
        else:
            inputs |= {"digest": lock.digest, "packages": lock.packages}
        return inputs

    def create(self, props: Properties) -> CreateResult:
        """Build it, unless this machine has it."""
        return CreateResult(props["spec"]["name"], self._build(own(props)))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Build the changed one beside the old, which other runs may still use."""
        return UpdateResult(self._build(own(_news)))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Look whether it is still whole on this machine."""
        spec = declared(props["spec"])
        reason = environment.broken(environment.location(environment.lock(spec)))
        return ReadResult(id_, {**own(props), "drift": [reason] if reason else []})

    def _build(self, inputs: Properties) -> Properties:
        shown = row(inputs)
        spec = declared(inputs["spec"])
        lock = environment.lock(spec, progress=shown.progress)
        built = environment.build(spec, lock, shown.progress)
        shown.info(f"{len(lock.packages)} packages, {built.digest[:12]}")
        return {**inputs, "digest": lock.digest, "packages": lock.packages, "drift": []}
