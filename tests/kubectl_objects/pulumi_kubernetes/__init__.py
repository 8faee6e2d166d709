"""Stands in for pulumi-kubernetes in tests: first on PYTHONPATH, it applies objects with kubectl.

The real package needs a plugin that downloads itself, which not every machine that runs the tests can do.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

from pulumi import Input, ResourceOptions
from pulumi.dynamic import ResourceProvider

from trainstack.components.base import BaseResource

_GROUPS = {"networking": "networking.k8s.io", "rbac": "rbac.authorization.k8s.io"}
_MODULES = ("core.v1", "apps.v1", "autoscaling.v2", "batch.v1", "networking.v1", "policy.v1", "rbac.v1")


class Provider:
    """Where the objects go; the engine hears nothing of it."""

    def __init__(
        self,
        _name: str,
        *,
        context: Input[str] | None = None,
        upsert_existing_objects: bool = True,
        opts: ResourceOptions | None = None,
    ) -> None:
        self.context = context


class _ProviderByName(ResourceProvider):
    """Pickled, it is a call: the program then imports nothing of what the provider needs."""

    serialize_as_secret_always = False

    def __reduce__(self) -> tuple[Any, ...]:
        return load_provider, ()


def load_provider() -> ResourceProvider:
    """Make the provider, in the process that the engine starts for dynamic resources."""
    return importlib.import_module(f"{__name__}.kubectl").KubectlProvider()


class _Object(BaseResource, module="trainstack", name="KubectlObject"):
    """An object that kubectl applies."""

    def __init__(self, name: str, opts: ResourceOptions, rendered: dict[str, Any]) -> None:
        connection: Any = opts.provider
        props = {
            "name": name,
            "object": rendered,
            "type": resource_type(rendered["apiVersion"], rendered["kind"]),
            "context": connection.context or "",
            "kept": opts.ignore_changes or [],
        }
        # kubectl's provider leaves those fields alone itself: the engine would compare the whole object.
        opts.provider = opts.ignore_changes = None
        super().__init__(_ProviderByName(), f"{name}-{rendered['kind'].lower()}", props, opts)


def resource_type(api_version: str, kind: str) -> str:
    """Return the type token that an object has in pulumi-kubernetes: a dynamic resource cannot bear it as its own."""
    return f"kubernetes:{api_version if '/' in api_version else f'core/{api_version}'}:{kind}"


class CustomResource(_Object):
    """An object of a kind that Kubernetes does not come with."""

    def __init__(self, name: str, *, api_version: str, kind: str, opts: ResourceOptions, **fields: Any) -> None:
        super().__init__(name, opts, _rendered(api_version, kind, fields))


class _Group(ModuleType):
    """A module such as `core.v1`, with a class for every kind."""

    api_version: str

    def __getattr__(self, kind: str) -> Any:
        if not kind[:1].isupper():
            raise AttributeError(kind)

        def declare(name: str, *, opts: ResourceOptions, **fields: Any) -> _Object:
            return _Object(name, opts, _rendered(self.api_version, kind, fields))

        return declare


def _rendered(api_version: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, **{_camel(name): value for name, value in fields.items()}}


def _camel(argument: str) -> str:
    first, *others = argument.split("_")
    return first + "".join(word.capitalize() for word in others)


def _add_modules() -> None:
    for name in _MODULES:
        group, _, version = name.partition(".")
        module = _Group(f"{__name__}.{name}")
        module.api_version = version if group == "core" else f"{_GROUPS.get(group, group)}/{version}"
        sys.modules[module.__name__] = module
        sys.modules.setdefault(f"{__name__}.{group}", ModuleType(f"{__name__}.{group}"))
    extensions: Any = ModuleType(f"{__name__}.apiextensions")
    extensions.CustomResource = CustomResource
    sys.modules[extensions.__name__] = extensions


_add_modules()
