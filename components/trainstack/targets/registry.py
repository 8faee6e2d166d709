"""From a target's name to its plugin. A target's modules are loaded when its name is used, and not before."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from trainstack.errors import InvalidInputError
from trainstack.targets.plugin import Capabilities, TargetPlugin

DEFAULT = "local"
"""The target of a compute that names none."""

GROUP = "trainstack.targets"
"""Entry points of this group are targets of other packages: NAME = "MODULE:CLASS"."""

_MODULES = {
    "local": "trainstack.targets.local.plugin:LocalPlugin",
    "docker": "trainstack.targets.docker.plugin:DockerPlugin",
    "kubernetes": "trainstack.targets.kubernetes.plugin:KubernetesPlugin",
}
_PLUGINS: dict[str, TargetPlugin] = {}
# What a name may turn out to be that preview does not know yet.
_UNKNOWN = Capabilities(uses_images=True, remote=True)


def register(plugin: TargetPlugin) -> None:
    """Add a target in this process, in place of another of its name."""
    _PLUGINS[plugin.name] = plugin


def names() -> list[str]:
    """Return the names of all targets known so far: ours, and those of other packages that were used."""
    return list(dict.fromkeys([*_MODULES, *_PLUGINS]))


def find_plugin(name: str) -> TargetPlugin | None:
    """Return the plugin of a target, None when there is none of that name."""
    if name not in _PLUGINS:
        reference = _MODULES.get(name) or next((entry.value for entry in entry_points(group=GROUP, name=name)), None)
        if reference is None:
            return None
        register(load(reference)())
    return _PLUGINS[name]


def plugin(name: str) -> TargetPlugin:
    """Return the plugin of a target.

    Raises:
        InvalidInputError: There is none of that name.
    """
    if (registered := find_plugin(name)) is None:
        raise InvalidInputError(f"target {name!r} is none of {', '.join(names())}", field="target")
    return registered


def capabilities(name: object) -> Capabilities:
    """Return what a target can do; for a name that is not known yet, what it may turn out to be.

    Args:
        name: The target's name; the default target's when it is empty.
    """
    registered = find_plugin(str(name or DEFAULT))
    return registered.capabilities if registered else _UNKNOWN


def load(reference: str) -> Any:
    """Import what `MODULE:NAME` names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
