"""A workspace's children on a cluster: the image of its tracking server, what runs it, and who waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pulumi

from trainstack.components.base import BaseResource, program_errors
from trainstack.components.kubernetes import namespace, objects
from trainstack.components.kubernetes.args import KubernetesArgs
from trainstack.components.kubernetes.build_config import build_config, check_plain, check_variables, encoded
from trainstack.errors import InvalidInputError
from trainstack.mlflow.server_settings import DATABASE
from trainstack.provider.lazy_providers import LazyTrackingImageProvider, LazyTrackingServerProvider
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.objects import compute_resources, tracking_objects
from trainstack.targets.kubernetes.objects.compute_resources import ResourceRequest
from trainstack.targets.kubernetes.objects.tracking_objects import TrackingSpec
from trainstack.targets.kubernetes.objects.validation import checked

if TYPE_CHECKING:
    from trainstack.components.kubernetes.tracking_args import ClusterTracking
    from trainstack.components.workspace import WorkspaceArgs

_OUTPUTS = ("database", "settings", "secret_settings")
_OF_RUNS = ("quota", "claims", "store", "driver", "engine", "queue")


class _Image(BaseResource, module="trainstack", name="TrackingImage"):
    container: pulumi.Output[dict[str, Any]]


class _Server(BaseResource, module="trainstack", name="TrackingServer"):
    address: pulumi.Output[str]


class DeclaredTracking:
    """What a workspace declares on a cluster for its history.

    Attributes:
        location: Where the server is, as an input of the workspace's own resource.
    """

    def __init__(
        self,
        name: str,
        tracking: ClusterTracking,
        args: WorkspaceArgs,
        images: Mapping[str, Any],
        login: pulumi.Output[str] | None,
        parent: pulumi.Resource,
    ) -> None:
        """Declare image and objects.

        Args:
            name: The workspace's name.
            tracking: What the program says of its server.
            args: What it says of the workspace.
            images: Registry and base image, as inputs of resources.
            login: The registry's login; none where none is needed.
            parent: The component.

        Raises:
            pulumi.RunError: What is asked for cannot be, or the cluster does not say whether the namespace is there.
        """
        own = f"{name}-tracking"
        with program_errors(f"workspace {name}"):
            spec = _checked(args, tracking)
            title = labels.declared("tracking server", own, pulumi.get_project(), pulumi.get_stack())
            self._config = build_config(title, tracking.kubernetes, has_login=login is not None)
            keep = tracking.keep and spec.has_volume
            connection = objects.connection(own, self._config.context, parent, adopts=keep)
            hold = namespace.declare(own, self._config, connection, parent, keep=keep)
        self._name, self._title, self._spec, self._parent = name, title, spec, parent
        self._settings = dict(tracking.kubernetes.settings)
        secrets = image_secrets = dict(tracking.kubernetes.secret_settings)
        if tracking.database is not None:
            image_secrets = {**secrets, DATABASE: tracking.database}
            secrets = {**secrets, DATABASE: pulumi.Output.secret(tracking.database).apply(tracking_objects.with_driver)}
        image = self._image = _Image(
            LazyTrackingImageProvider(),
            name,
            {
                "name": name,
                **images,
                "compute": {"target": "kubernetes", "docker_host": tracking.docker_host},
                "secrets": pulumi.Output.secret(image_secrets),
            },
            pulumi.ResourceOptions(parent=parent, additional_secret_outputs=["secrets"]),
        )
        request = ResourceRequest(account=None if tracking.kubernetes.service_account else title, pull_login=login)
        rendered = [
            *compute_resources.objects(title, self._config.namespace, pulumi.get_stack(), request),
            *tracking_objects.objects(
                title,
                name,
                pulumi.get_stack(),
                self._config,
                spec,
                image.container,
                settings=self._settings,
                secrets=encoded(secrets),
            ).values(),
        ]
        self._objects = [
            objects.declare(
                f"{own}{manifest['metadata']['name'].removeprefix(title)}",
                manifest,
                connection,
                pulumi.ResourceOptions(
                    parent=parent,
                    depends_on=[hold] if hold else [],
                    retain_on_delete=keep and manifest["kind"] == "PersistentVolumeClaim",
                ),
            )
            for manifest in rendered
        ]
        server = {"context": self._config.context or "", "namespace": self._config.namespace, "name": title}
        self.location: dict[str, Any] = {"server": server, "url": spec.url}

    def answering(self, root: pulumi.Output[str]) -> pulumi.Output[str]:
        """Declare who waits until it answers; gives its address then.

        Args:
            root: The workspace's folder, as its resource gives it.
        """
        props = {
            "name": self._title,
            "workspace": root,
            "cluster": self._config.model_dump(mode="json", exclude_defaults=True),
            "server": self._spec.model_dump(mode="json", exclude_none=True),
            "settings": self._settings,
            "container": self._image.container,
        }
        opts = pulumi.ResourceOptions(parent=self._parent, depends_on=self._objects)
        return _Server(LazyTrackingServerProvider(), self._name, props, opts).address


def _checked(args: WorkspaceArgs, tracking: ClusterTracking) -> TrackingSpec:
    """How it is to run.

    Raises:
        InvalidInputError: What is asked for cannot be.
    """
    if args.tracking_uri is not None:
        raise InvalidInputError(
            "give tracking, a server of its own on a cluster, or tracking_uri, one that is there, but not both",
            field="tracking",
        )
    if args.registry is None:
        raise InvalidInputError(
            "a cluster pulls the tracking server's image from a registry: give the workspace one with `registry`",
            field="registry",
        )
    check_plain(tracking, "tracking", _OUTPUTS)
    defaults = KubernetesArgs()
    for field in _OF_RUNS:
        if getattr(tracking.kubernetes, field) != getattr(defaults, field):
            raise InvalidInputError(
                f"tracking: kubernetes.{field} is for a compute's runs: leave it out", field=f"kubernetes.{field}"
            )
    check_variables((*tracking.kubernetes.settings, *tracking.kubernetes.secret_settings))
    fields = TrackingSpec.model_fields.keys() - {"database", "ingress_annotations"}
    values = {field: value for field in fields if (value := getattr(tracking, field)) is not None}
    values |= {"database": tracking.database is not None, "ingress_annotations": dict(tracking.ingress_annotations)}
    return checked(TrackingSpec, values, "tracking")
