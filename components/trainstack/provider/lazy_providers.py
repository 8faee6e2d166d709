"""What a program hands to Pulumi in place of a provider: its name. The provider itself is loaded by the first verb.

Pulumi pickles a resource's provider into its state, by name where the class can be imported. A program that only
declares then pays for none of what a provider needs, and `pulumi preview` of a finished stack stays quick.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
from collections.abc import Generator
from typing import Any, ClassVar

from pulumi.dynamic import CheckResult, CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult


@functools.cache
def _loaded(provider: str) -> ResourceProvider:
    module, name = provider.split(":")
    # Looking for plugins of pydantic means to read the metadata of every installed package; our specs want none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    with _uncollected():
        found = importlib.import_module(f"trainstack.provider.{module}")
    return getattr(found, name)()


@contextlib.contextmanager
def _uncollected() -> Generator[None]:
    """Let the garbage collector rest: what is loaded stays, and it would walk through all of it again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class Handle(ResourceProvider):
    """Passes every verb on to the provider that it names.

    Attributes:
        provider: Its module in this package, and its class.
    """

    # Pickled by name into every resource's state; nothing secret is in it.
    serialize_as_secret_always = False
    provider: ClassVar[str]

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Validate and complete the inputs."""
        return _loaded(self.provider).check(_olds, news)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Say what a change would do."""
        return _loaded(self.provider).diff(_id, _olds, _news)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the resource be."""
        return _loaded(self.provider).create(props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Find out what has become of it."""
        return _loaded(self.provider).read(id_, props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Change it in place."""
        return _loaded(self.provider).update(_id, _olds, _news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Let it go."""
        _loaded(self.provider).delete(_id, _props)


class WorkspaceHandle(Handle):
    """Names `WorkspaceProvider`."""

    provider = "workspace:WorkspaceProvider"


class ComputeHandle(Handle):
    """Names `ComputeProvider`."""

    provider = "compute:ComputeProvider"


class DatasetHandle(Handle):
    """Names `DatasetProvider`."""

    provider = "dataset:DatasetProvider"


class EnvironmentHandle(Handle):
    """Names `EnvironmentProvider`."""

    provider = "environment:EnvironmentProvider"


class TrainingRunHandle(Handle):
    """Names `TrainingRunProvider`."""

    provider = "training_run:TrainingRunProvider"


class ModelHandle(Handle):
    """Names `ModelProvider`."""

    provider = "model:ModelProvider"


class SweepHandle(Handle):
    """Names `SweepProvider`."""

    provider = "sweep:SweepProvider"


class WebServiceHandle(Handle):
    """Names `WebServiceProvider`."""

    provider = "web_service:WebServiceProvider"


class ServiceImageHandle(Handle):
    """Names `ServiceImageProvider`."""

    provider = "kubernetes.service_image:ServiceImageProvider"


class KubectlHandle(Handle):
    """Names `KubectlProvider`."""

    provider = "kubectl:KubectlProvider"


class ExistingDatasetHandle(Handle):
    """Names `ExistingDatasetProvider`."""

    provider = "adopted:ExistingDatasetProvider"


class ExistingModelHandle(Handle):
    """Names `ExistingModelProvider`."""

    provider = "adopted:ExistingModelProvider"


class ExistingRunHandle(Handle):
    """Names `ExistingRunProvider`."""

    provider = "adopted_run:ExistingRunProvider"


class PromotedModelHandle(Handle):
    """Names `PromotedModelProvider`."""

    provider = "promotion:PromotedModelProvider"


class NamespaceHoldHandle(Handle):
    """Names `NamespaceHoldProvider`."""

    provider = "kubernetes.namespace_hold:NamespaceHoldProvider"


class TrackingImageHandle(Handle):
    """Names `TrackingImageProvider`."""

    provider = "kubernetes.tracking_image:TrackingImageProvider"


class TrackingServerHandle(Handle):
    """Names `TrackingServerProvider`."""

    provider = "kubernetes.tracking_server:TrackingServerProvider"
