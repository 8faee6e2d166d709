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
import sys
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar

from pulumi.dynamic import CheckResult, CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

if TYPE_CHECKING:
    from trainstack.provider.base import BaseProvider

# What most programs need. All of it but pydantic is loaded while the engine prepares the next verb.
_COMMON = ("compute", "dataset", "environment", "training_run", "model", "web_service")


@functools.cache
def _load(provider: str) -> BaseProvider:
    module_name, name = provider.split(":")
    # Looking for plugins of pydantic means to read the metadata of every installed package; our specs use none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    with _gc_paused():
        module = importlib.import_module(f"trainstack.provider.{module_name}")
    _preload()
    return getattr(module, name)()


@functools.cache
def _preload() -> None:
    """Import in a thread what most programs need next: between two verbs this process only waits."""
    threading.Thread(target=_import_common, name="preload", daemon=True).start()


def _import_common() -> None:
    interval = sys.getswitchinterval()
    # A verb that comes meanwhile must not wait for the usual 5 ms each time it takes the interpreter back.
    sys.setswitchinterval(0.0002)
    try:
        # A module that cannot be imported fails again, and is reported, at the verb that needs it.
        with _gc_paused(), contextlib.suppress(ImportError):
            for name in _COMMON:
                importlib.import_module(f"trainstack.provider.{name}")
    finally:
        sys.setswitchinterval(interval)


@contextlib.contextmanager
def _gc_paused() -> Generator[None]:
    """Pause the garbage collector: imported modules stay, and it would walk through all of them on each pass."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


Properties = dict[str, Any]
"""A resource's inputs or outputs, as Pulumi passes them."""


class LazyProvider(ResourceProvider):
    """Loads the provider that it names at the first verb, and passes every verb on to it.

    Attributes:
        provider: Its module in this package, and its class.
    """

    # Pickled by name into every resource's state; nothing secret is in it.
    serialize_as_secret_always = False
    provider: ClassVar[str]

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Validate and complete the inputs."""
        return _load(self.provider).check(_olds, news)

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Compare the state with new inputs."""
        return _load(self.provider).diff(_id, _olds, _news)

    def create(self, props: Properties) -> CreateResult:
        """Create the resource."""
        provider = _load(self.provider)
        with provider.creating(props):
            return provider.create(props)

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Read the resource as it is now."""
        return _load(self.provider).read(id_, props)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Update the resource in place."""
        provider = _load(self.provider)
        with provider.changing(_news):
            return provider.update(_id, _olds, _news)

    def delete(self, _id: str, _props: Properties) -> None:
        """Delete the resource."""
        provider = _load(self.provider)
        with provider.changing(_props):
            provider.delete(_id, _props)


class LazyWorkspaceProvider(LazyProvider):
    """Names `WorkspaceProvider`."""

    provider = "workspace:WorkspaceProvider"


class LazyComputeProvider(LazyProvider):
    """Names `ComputeProvider`."""

    provider = "compute:ComputeProvider"


class LazyDatasetProvider(LazyProvider):
    """Names `DatasetProvider`."""

    provider = "dataset:DatasetProvider"


class LazyEnvironmentProvider(LazyProvider):
    """Names `EnvironmentProvider`."""

    provider = "environment:EnvironmentProvider"


class LazyTrainingRunProvider(LazyProvider):
    """Names `TrainingRunProvider`."""

    provider = "training_run:TrainingRunProvider"


class LazyModelProvider(LazyProvider):
    """Names `ModelProvider`."""

    provider = "model:ModelProvider"


class LazySweepProvider(LazyProvider):
    """Names `SweepProvider`."""

    provider = "sweep:SweepProvider"


class LazyWebServiceProvider(LazyProvider):
    """Names `WebServiceProvider`."""

    provider = "web_service:WebServiceProvider"


class LazyServiceImageProvider(LazyProvider):
    """Names `ServiceImageProvider`."""

    provider = "kubernetes.service_image:ServiceImageProvider"


class LazyAdoptedDatasetProvider(LazyProvider):
    """Names `AdoptedDatasetProvider`."""

    provider = "adopted:AdoptedDatasetProvider"


class LazyAdoptedModelProvider(LazyProvider):
    """Names `AdoptedModelProvider`."""

    provider = "adopted:AdoptedModelProvider"


class LazyAdoptedRunProvider(LazyProvider):
    """Names `AdoptedRunProvider`."""

    provider = "adopted_run:AdoptedRunProvider"


class LazyPromotedModelProvider(LazyProvider):
    """Names `PromotedModelProvider`."""

    provider = "promotion:PromotedModelProvider"


class LazyNamespaceHoldProvider(LazyProvider):
    """Names `NamespaceHoldProvider`."""

    provider = "kubernetes.namespace_hold:NamespaceHoldProvider"


class LazyTrackingImageProvider(LazyProvider):
    """Names `TrackingImageProvider`."""

    provider = "kubernetes.tracking_image:TrackingImageProvider"


class LazyTrackingServerProvider(LazyProvider):
    """Names `TrackingServerProvider`."""

    provider = "kubernetes.tracking_server:TrackingServerProvider"
