"""Objects of a cluster as Pulumi resources: each rendered object is the resource of pulumi-kubernetes for its kind."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

import pulumi

from trainstack.components.base import program_errors
from trainstack.targets.kubernetes import installed

_CUSTOM = ("serving.kserve.io",)
# Kinds with fields beside metadata and spec, which pulumi-kubernetes' class for kinds of others does not take.
_PLAIN = ("kueue.x-k8s.io", "karpenter.sh")


def connection(
    name: str, context: pulumi.Input[str] | None, parent: pulumi.Resource, *, adopts: bool = False
) -> pulumi.ProviderResource:
    """The provider that leads to a cluster.

    Args:
        name: Its name.
        context: Context of the kubeconfig; its current one when left out.
        parent: Whose child it is.
        adopts: Whether what is there already under the same name is taken over: a claim that a destroy has kept.
    """
    with program_errors(name):
        installed.require("pulumi_kubernetes")
    kubernetes: Any = importlib.import_module("pulumi_kubernetes")
    options = {"upsert_existing_objects": True} if adopts else {}
    return kubernetes.Provider(name, context=context, **options, opts=pulumi.ResourceOptions(parent=parent))


def declare(
    name: str,
    manifest: Mapping[str, Any],
    connection: pulumi.ProviderResource | None,
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """Declare an object.

    Args:
        name: The resource's name.
        manifest: The object as the API server gets it; values may be outputs.
        connection: What `connection` gave.
        opts: Pulumi's options; of `ignore_changes`, the fields that others change once the object is made.
    """
    group, _, version = manifest["apiVersion"].rpartition("/")
    fields = {_snake(field): value for field, value in manifest.items() if field not in ("apiVersion", "kind")}
    opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=connection))
    if group in _CUSTOM:
        extensions: Any = importlib.import_module("pulumi_kubernetes.apiextensions")
        return extensions.CustomResource(
            name, api_version=manifest["apiVersion"], kind=manifest["kind"], opts=opts, **fields
        )
    if group in _PLAIN:
        token = f"kubernetes:{manifest['apiVersion']}:{manifest['kind']}"
        return pulumi.CustomResource(token, name, dict(manifest), opts)
    package = importlib.import_module(f"pulumi_kubernetes.{group.partition('.')[0] or 'core'}.{version}")
    return getattr(package, manifest["kind"])(name, opts=opts, **fields)


def _snake(field: str) -> str:
    """A field's name as an argument in Python."""
    return re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", field)
