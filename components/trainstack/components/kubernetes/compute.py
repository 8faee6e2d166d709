"""A compute's children on a cluster: its namespace, whom its pods run as, and what they are given there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pulumi

from trainstack.components.base import program_errors
from trainstack.components.kubernetes import namespace, objects
from trainstack.components.kubernetes.args import KubernetesArgs, KubernetesDriver, KubernetesVolume
from trainstack.components.kubernetes.build_config import build_config, check_plain, check_variables, encoded
from trainstack.components.kubernetes.pool import declared_pool
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.checks import pvc
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects import compute_resources, driver_objects
from trainstack.targets.kubernetes.objects.compute_resources import PvcSpec, ResourceRequest

if TYPE_CHECKING:
    from trainstack.components.compute import ComputeArgs

_RBAC = ("Role", "RoleBinding")
"""Kinds that are called what their service account is."""


class ClusterCompute:
    """What a compute declares on a cluster.

    Attributes:
        config_inputs: Its `KubernetesConfig`, as an input of resources.
        connection: What leads there; none for a compute that is no cluster.
        objects: Its objects, as resources.
    """

    def __init__(self, name: str, args: ComputeArgs, parent: pulumi.Resource, *, chosen: bool) -> None:
        """Declare the objects.

        Args:
            name: The compute's name.
            args: What the program says of it.
            parent: The component.
            chosen: Whether the cluster is the compute's target; of another target's compute there are only inputs,
                which its checks refuse by name.

        Raises:
            pulumi.RunError: What is asked for cannot be, or the cluster does not say whether the namespace is there.
        """
        settings = args.kubernetes or KubernetesArgs()
        login = args.workspace.registry_login
        with program_errors(f"compute {name}"):
            if isinstance(args.target, pulumi.Output):
                raise InvalidInputError("target is an output: give a plain value, as `kubernetes` depends on it")
            check_plain(settings, "kubernetes", {"settings", "secret_settings"})
            title = labels.declared("compute", name, pulumi.get_project(), pulumi.get_stack())
            volumes = _volumes(title, settings)
            _check(settings, volumes, args.max_nodes)
            config = _kubernetes_config(title, settings, has_login=login is not None)
            self.config_inputs = config.model_dump(mode="json", exclude_defaults=True)
            self.objects: list[pulumi.Resource] = []
            self.connection = None
            if not chosen:
                return
            pool = [] if settings.pool is None else declared_pool(title, args, settings.pool)
            kept_claims = {claim_name for claim_name, (_, volume) in volumes.items() if volume.keep}
            self.connection = objects.connection(name, config.context, parent, adopts=bool(kept_claims))
            namespace_hold = namespace.declare(name, config, self.connection, parent, keep=bool(kept_claims))
        namespace_holds = [namespace_hold] if namespace_hold is not None else []
        self.objects += namespace_holds
        if settings.queue is not None and not isinstance(settings.queue, str):
            self.objects += settings.queue.objects
        request = _resource_request(title, settings, volumes, login)
        for manifest in (
            *compute_resources.objects(title, config.namespace, pulumi.get_stack(), request),
            *_driver_account(title, settings, config),
            *pool,
        ):
            kind = "" if manifest["kind"] not in _RBAC else f"-{manifest['kind'].lower()}"
            object_name = manifest["metadata"]["name"]
            opts = pulumi.ResourceOptions(
                parent=parent, depends_on=namespace_holds, retain_on_delete=object_name in kept_claims
            )
            resource = objects.declare(
                f"{name}{object_name.removeprefix(title)}{kind}", manifest, self.connection, opts
            )
            self.objects.append(resource)


def _driver_account(title: str, args: KubernetesArgs, config: KubernetesConfig) -> list[Manifest]:
    if args.driver is None:
        return []
    return driver_objects.account(
        title,
        config,
        pulumi.get_stack(),
        args.driver.annotations,
        declare_account=args.driver.service_account is None,
    )


def _volumes(title: str, args: KubernetesArgs) -> dict[str, tuple[str, KubernetesVolume]]:
    """All volumes by the names of their claims, with what messages call them."""
    declared: list[tuple[str, str, KubernetesVolume]] = [
        (f"claim {claim.path}", _claim_name(title, claim.name, claim.path), claim) for claim in args.claims
    ]
    if args.store is not None:
        declared.append(("store", _claim_name(title, args.store.name, "store"), args.store))
    volumes: dict[str, tuple[str, KubernetesVolume]] = {}
    for label, claim_name, volume in declared:
        if claim_name in volumes:
            other = volumes[claim_name][0]
            raise InvalidInputError(f"kubernetes: {other} and {label} are both {claim_name}: take another path")
        volumes[claim_name] = label, volume
    return volumes


def _check(args: KubernetesArgs, volumes: Mapping[str, tuple[str, KubernetesVolume]], nodes: pulumi.Input[int]) -> None:
    if args.engine == "mpijob" and (args.settings or args.secret_settings):
        # What sshd starts has none of its container's variables.
        raise InvalidInputError("kubernetes: settings do not reach runs of engine 'mpijob': give them to the runs")
    check_variables((*args.settings, *args.secret_settings))
    for label, volume in volumes.values():
        if (volume.name is None) == (volume.size_gib is None):
            raise InvalidInputError(
                f"kubernetes: {label}: give either the name of one that is there or size_gib for a new one"
            )
        if volume.size_gib is not None and not volume.size_gib > 0:
            raise InvalidInputError(f"kubernetes: {label}: size_gib must be over 0, not {volume.size_gib}")
        if volume.access_mode not in ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"):
            raise InvalidInputError(
                f"kubernetes: {label}: access_mode {volume.access_mode!r} is none of Kubernetes: take ReadWriteMany or "
                "ReadWriteOnce"
            )
    if args.store is not None and args.store.name is None and isinstance(nodes, int):
        pvc.check_modes("store", [args.store.access_mode], nodes)


def _kubernetes_config(title: str, args: KubernetesArgs, *, has_login: bool) -> KubernetesConfig:
    """The cluster as runs and services know it: with the names of what is declared there."""
    return build_config(
        title,
        args,
        has_login=has_login,
        settings=[compute_resources.settings(title)] if args.settings else [],
        secret_settings=[compute_resources.settings(title)] if args.secret_settings else [],
        store=_claim_name(title, args.store.name, "store") if args.store else None,
        claims=[
            {"name": _claim_name(title, claim.name, claim.path), "path": claim.path, "read_only": claim.read_only}
            for claim in args.claims
        ],
        driver=_driver_config(title, args.driver) if args.driver else None,
        declared_as=title,
        quota={key: str(text) for key, text in args.quota.items()},
    )


def _driver_config(title: str, driver: KubernetesDriver) -> dict[str, str | None]:
    if driver.service_account and driver.annotations:
        raise InvalidInputError(
            "kubernetes: driver.annotations are for the service account that is declared: leave them out, or "
            "driver.service_account"
        )
    return {
        "service_account": driver.service_account or driver_objects.account_name(title),
        "secret": driver.secret,
    }


def _resource_request(
    title: str,
    args: KubernetesArgs,
    volumes: Mapping[str, tuple[str, KubernetesVolume]],
    login: pulumi.Output[str] | None,
) -> ResourceRequest:
    return ResourceRequest(
        account=None if args.service_account else title,
        quota={key: str(text) for key, text in args.quota.items()},
        pull_login=login,
        settings=args.settings,
        secret_settings=encoded(args.secret_settings),
        claims=[
            PvcSpec(
                name=claim_name,
                size_gib=volume.size_gib,
                storage_class=volume.storage_class,
                access_mode=volume.access_mode,
            )
            for claim_name, (_, volume) in volumes.items()
            if volume.size_gib is not None
        ],
    )


def _claim_name(title: str, name: str | None, path: str) -> str:
    return name or f"{title}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}"
