"""Objects of a cluster as Pulumi resources: each rendered object is the resource of pulumi-kubernetes for its kind.

`TRAINSTACK_KUBERNETES_OBJECTS=kubectl` applies the same objects with kubectl instead. It is there for tests on machines
that the plugin of pulumi-kubernetes cannot be downloaded to, and for nothing else.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from typing import Any

import pulumi

from trainstack.components.base import BaseResource
from trainstack.provider.lazy_providers import LazyKubectlProvider

SWITCH = "TRAINSTACK_KUBERNETES_OBJECTS"
_CUSTOM = ("serving.kserve.io",)


class _Applied(BaseResource, module="trainstack", name="KubectlObject"):
    """An object that kubectl applies."""


def connection(
    name: str, context: pulumi.Input[str] | None, parent: pulumi.Resource, *, adopts: bool = False
) -> pulumi.ProviderResource | None:
    """The provider that leads to a cluster; none where kubectl does.

    Args:
        name: Its name.
        context: Context of the kubeconfig; its current one when left out.
        parent: Whose child it is.
        adopts: Whether what is there already under the same name is taken over: a claim that a destroy has kept.
    """
    if os.environ.get(SWITCH) == "kubectl":
        return None
    kubernetes: Any = importlib.import_module("pulumi_kubernetes")
    found = {"upsert_existing_objects": True} if adopts else {}
    return kubernetes.Provider(name, context=context, **found, opts=pulumi.ResourceOptions(parent=parent))


def declare(
    name: str,
    thing: Mapping[str, Any],
    context: pulumi.Input[str] | None,
    connection: pulumi.ProviderResource | None,
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Declare an object.

    Args:
        name: The resource's name.
        thing: The object as the API server gets it; values may be outputs.
        context: Context of the kubeconfig, for kubectl.
        connection: What `connection` gave.
        opts: Pulumi's options; of `ignore_changes`, the fields that others change once the object is made.
    """
    if connection is None:
        props = {"name": name, "object": thing, "context": context or "", "kept": opts.ignore_changes or []}
        opts.ignore_changes = None
        return _Applied(LazyKubectlProvider(), f"{name}-{thing['kind'].lower()}", props, opts)
    group, _, version = thing["apiVersion"].rpartition("/")
    given = {_snake(field): value for field, value in thing.items() if field not in ("apiVersion", "kind")}
    opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=connection))
    if group in _CUSTOM:
        extensions: Any = importlib.import_module("pulumi_kubernetes.apiextensions")
        return extensions.CustomResource(name, api_version=thing["apiVersion"], kind=thing["kind"], opts=opts, **given)
    package = importlib.import_module(f"pulumi_kubernetes.{group.partition('.')[0] or 'core'}.{version}")
    return getattr(package, thing["kind"])(name, opts=opts, **given)


def _snake(field: str) -> str:
    """A field's name as an argument in Python."""
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", field)
