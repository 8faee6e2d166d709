"""Training environments: locked in check, made ready once a machine or an engine, named by the lock's digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.environments import environment
from trainstack.core.images.environment_lock import lock_environment
from trainstack.core.workspace.project import project_root
from trainstack.errors import TrainstackError, UnreachableError
from trainstack.provider import images
from trainstack.provider.base import BaseProvider, Properties, changed, integral, known, log_of, own


def _unpinned(properties: Properties) -> Properties:
    """Without the file of pins: what it pins shows in the digest, that there is one changes nothing."""
    spec: Any = properties.get("spec")
    if not isinstance(spec, dict):
        return properties
    return {**properties, "spec": {name: value for name, value in spec.items() if name != "pins"}}  # pyright: ignore[reportUnknownVariableType]


def declared(described: Mapping[str, Any]) -> environment.EnvironmentSpec:
    """The environment that a resource's inputs describe."""
    return environment.spec_from_inputs(integral(described), project_root())


class EnvironmentProvider(BaseProvider):
    """A locked environment, made ready where it is used; a changed lock is another one under the same name."""

    identity = ()
    content = ("spec", "digest", "packages", "files")

    def accept(self, news: Properties) -> Properties:
        """Resolve the lock, so that preview names each package that would change and each that does not exist."""
        inputs = dict(news)
        images.check(inputs)
        if not known(inputs["spec"]) or not known(inputs.get("compute")):
            return inputs
        spec = declared(inputs["spec"])
        try:
            lock = self._locked(inputs, spec, retries=0)
        except UnreachableError as exc:
            log_of(inputs).warn(str(exc))
            inputs |= {"digest": UNKNOWN, "packages": UNKNOWN}
        else:
            inputs |= {"digest": lock.digest, "packages": lock.packages, "files": lock.files}
        return inputs

    def compare(self, olds: Properties, news: Properties) -> Any:
        """Also look whether it is used elsewhere now, which needs it there."""
        moved = changed(("target", "docker_host"), images.place(olds), images.place(news))
        before: list[str] = olds.get("drift") or []
        drift = [*before, *(f"{it} changed" for it in moved)]
        return super().compare({**_unpinned(olds), "drift": drift}, _unpinned(news))

    def create(self, props: Properties) -> CreateResult:
        """Make it ready, unless it is."""
        return CreateResult(props["spec"]["name"], self._build(own(props)))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Make the changed one ready beside the old, which other runs may still use."""
        return UpdateResult(self._build(own(_news)))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Look whether it is still whole where it was made ready."""
        inputs = own(props)
        reason = self._broken(inputs)
        return ReadResult(id_, {**inputs, "drift": [reason] if reason else []})

    def _broken(self, inputs: Properties) -> str | None:
        spec = declared(inputs["spec"])
        if images.needed(inputs):
            try:
                return images.missing(inputs)
            except TrainstackError as exc:
                # An engine that is off tells nothing of its images.
                log_of(inputs).warn(str(exc))
                return None
        if spec.only_image:
            return None
        return environment.find_damage(environment.location(environment.lock(spec)))

    def _locked(self, inputs: Properties, spec: environment.EnvironmentSpec, retries: int | None) -> environment.Lock:
        log = log_of(inputs)
        if not inputs.get("compute") and spec.only_image:
            # Where it is going to be used is for its runs to say.
            return lock_environment(spec, log.progress, retries=retries, target="docker")
        place = images.place(inputs)
        return lock_environment(
            spec,
            log.progress,
            retries=retries,
            target=str(place.get("target") or "local"),
            docker_host=place.get("docker_host"),
            registry=images.registry_of(inputs),
        )

    def _build(self, inputs: Properties) -> Properties:
        log = log_of(inputs)
        spec = declared(inputs["spec"])
        lock = self._locked(inputs, spec, retries=None)
        found: Properties = {
            "digest": lock.digest,
            "packages": lock.packages,
            "files": lock.files,
            "image": "",
            "drift": [],
        }
        if images.needed(inputs):
            made = images.ensure(inputs, spec, lock, log.progress)
            log.info(f"image {made.reference}")
            return {**inputs, **found, "image": made.reference}
        if not spec.only_image:
            built = environment.build(spec, lock, log.progress)
            log.info(f"{len(lock.packages)} packages, {built.digest[:12]}")
        return {**inputs, **found}
