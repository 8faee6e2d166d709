"""The namespace of what a program declares on a cluster: found, or declared by the first component that needs it."""

from __future__ import annotations

import weakref
from typing import Any

import pulumi

from trainstack.components.base import BaseResource
from trainstack.components.kubernetes import objects
from trainstack.core.compute.compute import PATIENCE_SECONDS
from trainstack.provider.lazy_providers import LazyNamespaceHoldProvider
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import namespace

_Places = dict[tuple[str | None, str], pulumi.Resource]
_declared: weakref.WeakKeyDictionary[Any, _Places] = weakref.WeakKeyDictionary()


class _Hold(BaseResource, module="trainstack", name="NamespaceHold"):
    """What keeps it from going while something is in it."""


def declare(
    name: str,
    config: KubernetesConfig,
    connection: pulumi.ProviderResource | None,
    parent: pulumi.Resource,
    *,
    keep: bool = False,
) -> pulumi.Resource | None:
    """Declare the namespace where there is none, or where this component has made the one there is.

    The cluster is asked now: whether a namespace goes with the stack must be known to the program.

    Args:
        name: The component's name.
        config: Which cluster and namespace.
        connection: What leads there.
        parent: The component.
        keep: Whether a destroy leaves it there, for what it leaves in it.

    Returns:
        What all that is put into it depends on; none when it was found.

    Raises:
        TrainstackError: The cluster does not answer, or does not let us.
    """
    if not config.create_namespace:
        return None
    namespaces = _declared.setdefault(pulumi.runtime.settings.get_monitor(), {})
    key = config.context, config.namespace
    if key in namespaces:
        return namespaces[key]
    made_by = namespace.owner(pulumi.get_project(), pulumi.get_stack(), name)
    existing = namespace.look(KubernetesApi(config), PATIENCE_SECONDS)
    if existing is not None and existing.owner != made_by:
        return None
    resource = objects.declare(
        name,
        namespace.rendered(config.namespace, made_by),
        connection,
        pulumi.ResourceOptions(parent=parent, retain_on_delete=keep),
    )
    props = {"namespace": config.namespace, "context": config.context or ""}
    options = pulumi.ResourceOptions(parent=parent, depends_on=[resource], retain_on_delete=keep)
    namespaces[key] = hold = _Hold(LazyNamespaceHoldProvider(), name, props, options)
    return hold
