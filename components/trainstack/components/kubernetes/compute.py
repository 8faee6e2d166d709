"""A compute's children on a cluster: its namespace, whom its pods run as, and what they are given there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pulumi

from trainstack.components.base import program_errors
from trainstack.components.kubernetes import namespace, objects
from trainstack.components.kubernetes.args import KubernetesArgs, KubernetesVolume
from trainstack.components.kubernetes.build_config import check_plain, check_variables, encoded, place
from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.checks import pvc
from trainstack.targets.kubernetes.config import Cluster
from trainstack.targets.kubernetes.objects import compute_resources
from trainstack.targets.kubernetes.objects.compute_resources import NewClaim, Wanted

if TYPE_CHECKING:
    from trainstack.components.compute import ComputeArgs


class ClusterCompute:
    """What a compute declares on a cluster.

    Attributes:
        described: The cluster and the place in it, as an input of resources.
        connection: What leads there; none for a compute that is no cluster.
        objects: Its objects, as resources.
    """

    def __init__(self, name: str, args: ComputeArgs, parent: pulumi.Resource) -> None:
        """Declare the objects.

        Args:
            name: The compute's name.
            args: What the program says of it.
            parent: The component.

        Raises:
            pulumi.RunError: What is asked for cannot be, or the cluster does not say whether the namespace is there.
        """
        asked = args.kubernetes or KubernetesArgs()
        login = args.workspace.registry_login
        with program_errors(f"compute {name}"):
            if isinstance(args.target, pulumi.Output):
                raise InvalidInputError("target is an output: give a plain value, as `kubernetes` depends on it")
            check_plain(asked, "kubernetes", {"settings", "secret_settings"})
            title = labels.declared("compute", name, pulumi.get_project(), pulumi.get_stack())
            volumes = _volumes(title, asked)
            _check(asked, volumes, args.max_nodes)
            cluster = _cluster(title, asked, has_login=login is not None)
            self.described = cluster.model_dump(mode="json", exclude_defaults=True)
            self.objects: list[pulumi.Resource] = []
            self.connection = None
            if args.target != "kubernetes":
                return
            keep = {called for called, (_, each) in volumes.items() if each.keep}
            self.connection = objects.connection(name, cluster.context, parent, adopts=bool(keep))
            held = namespace.declare(name, cluster, self.connection, parent, keep=bool(keep))
        self.objects += [held] if held is not None else []
        for thing in compute_resources.objects(
            title, cluster.namespace, pulumi.get_stack(), _wanted(title, asked, volumes, login)
        ):
            called = thing["metadata"]["name"]
            opts = pulumi.ResourceOptions(
                parent=parent, depends_on=[held] if held else [], retain_on_delete=called in keep
            )
            made = objects.declare(f"{name}{called.removeprefix(title)}", thing, self.connection, opts)
            self.objects.append(made)


def _volumes(title: str, asked: KubernetesArgs) -> dict[str, tuple[str, KubernetesVolume]]:
    """All volume claims by what they are called, with what the program calls them."""
    named: list[tuple[str, str, KubernetesVolume]] = [
        (f"claim {each.path}", _claim_name(title, each.name, each.path), each) for each in asked.claims
    ]
    if asked.store is not None:
        named.append(("store", _claim_name(title, asked.store.name, "store"), asked.store))
    found: dict[str, tuple[str, KubernetesVolume]] = {}
    for what, called, volume in named:
        if called in found:
            raise InvalidInputError(f"kubernetes: {found[called][0]} and {what} are both {called}: take another path")
        found[called] = what, volume
    return found


def _check(
    asked: KubernetesArgs, volumes: Mapping[str, tuple[str, KubernetesVolume]], nodes: pulumi.Input[int]
) -> None:
    if asked.engine == "mpijob" and (asked.settings or asked.secret_settings):
        # What sshd starts has none of its container's variables.
        raise InvalidInputError("kubernetes: settings do not reach runs of engine 'mpijob': give them to the runs")
    check_variables((*asked.settings, *asked.secret_settings))
    for what, volume in volumes.values():
        if (volume.name is None) == (volume.size_gib is None):
            raise InvalidInputError(
                f"kubernetes: {what}: give either the name of one that is there or size_gib for a new one"
            )
        if volume.size_gib is not None and not volume.size_gib > 0:
            raise InvalidInputError(f"kubernetes: {what}: size_gib must be over 0, not {volume.size_gib}")
        if volume.access_mode not in ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"):
            raise InvalidInputError(
                f"kubernetes: {what}: access_mode {volume.access_mode!r} is none of Kubernetes: take ReadWriteMany or "
                "ReadWriteOnce"
            )
    if asked.store is not None and asked.store.name is None and isinstance(nodes, int):
        pvc.check_modes("store", [asked.store.access_mode], nodes)


def _cluster(title: str, asked: KubernetesArgs, *, has_login: bool) -> Cluster:
    """The cluster as runs and services know it: with the names of what is declared there."""
    return place(
        title,
        asked,
        has_login=has_login,
        settings=[compute_resources.settings(title)] if asked.settings else [],
        secret_settings=[compute_resources.settings(title)] if asked.secret_settings else [],
        store=_claim_name(title, asked.store.name, "store") if asked.store else None,
        claims=[
            {"name": _claim_name(title, each.name, each.path), "path": each.path, "read_only": each.read_only}
            for each in asked.claims
        ],
        declared_as=title,
        quota={key: str(text) for key, text in asked.quota.items()},
        engine=asked.engine,
        queue=asked.queue,
    )


def _wanted(
    title: str,
    asked: KubernetesArgs,
    volumes: Mapping[str, tuple[str, KubernetesVolume]],
    login: pulumi.Output[str] | None,
) -> Wanted:
    return Wanted(
        account=None if asked.service_account else title,
        quota={key: str(text) for key, text in asked.quota.items()},
        pull_login=login,
        settings=asked.settings,
        secret_settings=encoded(asked.secret_settings),
        claims=[
            NewClaim(
                name=called,
                size_gib=each.size_gib,
                storage_class=each.storage_class,
                access_mode=each.access_mode,
            )
            for called, (_, each) in volumes.items()
            if each.size_gib is not None
        ],
    )


def _claim_name(title: str, name: str | None, path: str) -> str:
    return name or f"{title}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}"
