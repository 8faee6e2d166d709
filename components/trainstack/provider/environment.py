"""Training environments: locked in check, built once a machine or an engine, named by the lock's digest."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Annotated, Any

from pulumi.dynamic import DiffResult
from pulumi.runtime.rpc import UNKNOWN
from pydantic import BaseModel, ConfigDict

from trainstack.abbreviation import counted
from trainstack.core.environments import environment
from trainstack.core.environments.environment import EnvironmentDescription
from trainstack.core.images.environment_lock import lock_environment
from trainstack.core.properties import ResourceField, as_mapping
from trainstack.core.workspace.project import project_root
from trainstack.errors import TrainstackError, UnreachableError
from trainstack.provider import images
from trainstack.provider.base import BaseProvider, Properties, changed, integral, known, log_of
from trainstack.provider.compute_inputs import capabilities_of
from trainstack.storage.cache import cache_folder


class EnvironmentInputs(BaseModel):
    """The inputs of an environment's resource.

    Attributes:
        spec: The environment as the program describes it.
        compute: The compute that it is built for; this machine when left out.
        base_image: The image that the workspace builds environments on.
        registry: The workspace's registry: address and username.
        registry_password: That registry's password.
        digest: Digest of the lock, or of the image.
        packages: Version by package.
        files: Digest by path of a Dockerfile's context.
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    spec: EnvironmentDescription
    compute: Annotated[dict[str, Any] | None, ResourceField(change="ignore")] = None
    base_image: Annotated[str | None, ResourceField(change="ignore")] = None
    registry: Annotated[dict[str, str] | None, ResourceField(change="ignore")] = None
    registry_password: Annotated[str, ResourceField(change="ignore")] = ""
    digest: Annotated[str, ResourceField(source="check")] = ""
    packages: Annotated[dict[str, str], ResourceField(source="check")] = {}
    files: Annotated[dict[str, str], ResourceField(source="check")] = {}


class EnvironmentOutputs(BaseModel):
    """What an environment's resource adds to its inputs.

    Attributes:
        digest: Digest of the lock, or of the image.
        packages: Version by package.
        files: Digest by path of a Dockerfile's context.
        image: The image by digest, where it was built for a compute that runs containers.
        built_in: The machine and its cache folder, where it was built on the machine of `pulumi up`.
        drift: What is damaged where it was built, a sentence each.
    """

    digest: str
    packages: dict[str, str]
    files: dict[str, str]
    image: str = ""
    built_in: str = ""
    drift: list[str] = []


class EnvironmentProvider(BaseProvider, inputs=EnvironmentInputs):
    """A locked environment, built where it is used; a changed lock is another one under the same name."""

    def accept(self, news: Properties) -> Properties:
        """Resolve the lock, so that preview names each package that would change and each that does not exist."""
        inputs = dict(news)
        images.check(inputs)
        if not known(inputs["spec"]) or not known(inputs.get("compute")):
            return inputs
        spec = environment_of(inputs["spec"])
        try:
            lock = _lock(inputs, spec, retries=0)
        except UnreachableError as exc:
            log_of(inputs).warn(str(exc))
            inputs |= {"digest": UNKNOWN, "packages": UNKNOWN}
        else:
            inputs |= {"digest": lock.digest, "packages": lock.packages, "files": lock.files}
        return inputs

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Also compare where it is used, because it is built there."""
        moved = changed(("target", "docker_host"), images.compute_of(olds), images.compute_of(news))
        before: list[str] = olds.get("drift") or []
        drift = [*before, *(f"{name} changed" for name in moved)]
        return super().compare({**_without_pins(olds), "drift": drift}, _without_pins(news))

    def resource_id(self, outputs: Properties) -> str:
        """The environment's name."""
        return str(outputs["spec"]["name"])

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Build it where it is used; a changed one is built beside the old one, which other runs may still use."""
        log = log_of(inputs)
        spec = environment_of(inputs["spec"])
        lock = _lock(inputs, spec, retries=None)
        outputs = EnvironmentOutputs(digest=lock.digest, packages=lock.packages, files=lock.files)
        if images.needs_image(inputs):
            image = images.ensure(inputs, spec, lock, log.progress)
            log.info(f"image {image.reference}")
            outputs.image = image.reference
        elif not spec.only_image:
            built = environment.build(spec, lock, log.progress)
            outputs.built_in = _machine()
            log.info(f"{counted(len(lock.packages), 'package')}, {built.digest[:12]}")
        return {**inputs, **outputs.model_dump()}

    def refresh(self, properties: Properties) -> Properties:
        """Check that it is still whole where it was built."""
        damage = _find_damage(properties)
        return {"drift": [damage] if damage else []}


def environment_of(description: Mapping[str, Any]) -> environment.EnvironmentSpec:
    """The environment that the `spec` of a resource's inputs describes."""
    return environment.spec_from_inputs(integral(description), project_root())


def _without_pins(properties: Properties) -> Properties:
    """Leave out the file of pins: what it pins shows in the digest, and that it exists changes nothing."""
    description = as_mapping(properties.get("spec"))
    if description is None:
        return properties
    return {**properties, "spec": {name: value for name, value in description.items() if name != "pins"}}


def _find_damage(inputs: Properties) -> str | None:
    spec = environment_of(inputs["spec"])
    if images.needs_image(inputs):
        try:
            return images.find_damage(inputs)
        except TrainstackError as exc:
            # An engine that does not answer says nothing about its images.
            log_of(inputs).warn(str(exc))
            return None
    if spec.only_image:
        return None
    built = environment.location(environment.lock(spec))
    if inputs["built_in"] != _machine() and not built.folder.exists():
        # Another machine has built it for itself; this one does when it needs it.
        return None
    return environment.find_change(built)


def _machine() -> str:
    return f"{socket.gethostname()}:{cache_folder()}"


def _lock(inputs: Properties, spec: environment.EnvironmentSpec, retries: int | None) -> environment.Lock:
    log = log_of(inputs)
    if not inputs.get("compute") and spec.only_image:
        # Its runs decide where it is used.
        return lock_environment(spec, log.progress, retries=retries, in_image=True)
    compute = images.compute_of(inputs)
    return lock_environment(
        spec,
        log.progress,
        retries=retries,
        in_image=capabilities_of(compute).uses_images,
        docker_host=compute.get("docker_host"),
        registry=images.registry_of(inputs),
    )
