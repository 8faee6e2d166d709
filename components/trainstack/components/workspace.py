"""Workspace: where datasets, runs, models and services are kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from trainstack.components.base import BaseResource, Component, absolute_path, portable_path, program_errors
from trainstack.components.declaration import checked
from trainstack.components.node import Node
from trainstack.core.workspace.project import FOLDER, project_root
from trainstack.provider.lazy_providers import LazyWorkspaceProvider
from trainstack.storage.object_store.address import address_in

if TYPE_CHECKING:
    from trainstack.components.kubernetes.tracking_args import ClusterTracking


@checked
@dataclass(kw_only=True)
class Registry:
    """An image registry, as the Docker engines that use it see it.

    Attributes:
        address: `HOST[:PORT][/PREFIX]`, such as `localhost:5000` or `ghcr.io/team`.
        username: Who pushes and pulls; the logins of `docker login` hold when left out.
        password: Their password or token; a secret, however it is given.
    """

    address: pulumi.Input[str]
    username: pulumi.Input[str] = ""
    password: pulumi.Input[str] = ""


@checked
@dataclass(kw_only=True)
class WorkspaceArgs:
    """Arguments of a workspace.

    Attributes:
        root: Its folder, relative to the program's, or an address that a team shares: `s3://BUCKET/FOLDER`, `gs://…`,
            `az://…`; `.trainstack/NAME` in the project when left out.
        quota_gib: GiB that it may hold, whichever stack fills it; looked at before something new is written.
        registry: Where environments that are images are kept for all machines; its address, where no login is needed.
        base_image: What images are built on where nodes have no GPU and an environment does not say.
        tracking_uri: The address of an MLflow server of yours that the history goes to; one of the workspace's own on
            127.0.0.1 when left out. Its login is taken from MLflow's own variables, such as MLFLOW_TRACKING_TOKEN.
        tracking: An MLflow server of the workspace's own on a cluster, in place of the one on this machine.
        sizes: Names of your own for what a node holds, for the `vm_size` of computes: `{"big": ts.Node(…)}`.
    """

    root: pulumi.Input[str] | None = None
    quota_gib: pulumi.Input[float] | None = None
    registry: Registry | pulumi.Input[str] | None = None
    base_image: pulumi.Input[str] | None = None
    tracking_uri: pulumi.Input[str] | None = None
    tracking: ClusterTracking | None = None
    sizes: Mapping[str, Node] = field(default_factory=dict[str, Node])


class _Resource(BaseResource, module="trainstack", name="Workspace"):
    root: pulumi.Output[str]
    tracking_address: pulumi.Output[str]


class Workspace(Component):
    """A folder that keeps datasets, runs, models and services; found, or made.

    Destroying it keeps the folder.

    Attributes:
        name: Its name.
        root: Its folder, relative to the project when inside it.
        path: Its folder, absolute.
        tracking_uri: The address of its history; the embedded server asks for a token (`trainstack ui`).
        store: Its address where it is in an object store, which pods read from and write to; else none.
        images: How environments become images: inputs of the resources that make them.
        sizes: Its own names for what a node holds.
        registry_login: The registry's login as a Docker configuration in base64; none where no login is given.

    Example:
        ```python
        workspace = ts.Workspace("mnist")
        ```
    """

    kind = "Workspace"

    def __init__(
        self, name: str, args: WorkspaceArgs | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        folder = args.root if args else None
        root = portable_path(folder if folder is not None else str(project_root() / FOLDER / name))
        inputs: dict[str, pulumi.Input[Any]] = {"name": name, "root": root}
        if args and args.quota_gib is not None:
            inputs["quota_gib"] = args.quota_gib
        if args and args.tracking_uri is not None:
            inputs["tracking_uri"] = args.tracking_uri
        self.images = _images(args or WorkspaceArgs())
        self.registry_login = _login(args.registry if args else None)
        server = None
        if args and args.tracking is not None:
            from trainstack.components.kubernetes.tracking import DeclaredTracking

            server = DeclaredTracking(name, args.tracking, args, self.images, self.registry_login, self)
            inputs["tracking"] = server.location
        self._resource = _Resource(LazyWorkspaceProvider(), name, inputs, self._child_options())
        self.name = name
        self.sizes = dict(args.sizes) if args else {}
        # The resource's, not the argument's: what uses the root then waits for the folder.
        self.root = self._resource.root
        self.path = absolute_path(self.root)
        self.tracking_uri = server.answering(self.root) if server else self._resource.tracking_address
        self.store = root.apply(lambda path: address_in(Path(path)) or None)
        self.register_outputs({"name": name, "root": self.root, "tracking_uri": self.tracking_uri})

    @classmethod
    def from_config(cls, path: str | None = None, opts: pulumi.ResourceOptions | None = None) -> Workspace:
        """Declare the workspace that a `config.json` names.

        Args:
            path: The folder to look from, in it, its `.trainstack` folder and its parents; the program's when left out.
            opts: Pulumi's options.

        Raises:
            pulumi.RunError: There is no such file, or it does not name a workspace.
        """
        from trainstack.core.workspace import config as workspace_config

        with program_errors("Workspace.from_config"):
            root, config = workspace_config.find(Path(path) if path else Path.cwd())
        return cls(config.name, WorkspaceArgs(root=str(root)), opts)


def _images(args: WorkspaceArgs) -> dict[str, Any]:
    declared = args.registry
    if declared is None:
        return {"base_image": args.base_image}
    registry = declared if isinstance(declared, Registry) else Registry(address=declared)
    return {
        "base_image": args.base_image,
        "registry": {"address": registry.address, "username": registry.username},
        "registry_password": pulumi.Output.secret(registry.password),
    }


def _login(registry: Registry | pulumi.Input[str] | None) -> pulumi.Output[str] | None:
    """Return the login with which a cluster pulls images."""
    if not isinstance(registry, Registry) or (registry.username == "" and registry.password == ""):
        return None

    def configuration(values: Sequence[str]) -> str:
        address, username, password = values
        login = {"username": username, "password": password}
        return base64.b64encode(json.dumps({"auths": {address.partition("/")[0]: login}}).encode()).decode()

    login_values = pulumi.Output.all(registry.address, registry.username, registry.password)
    return pulumi.Output.secret(login_values.apply(configuration))
