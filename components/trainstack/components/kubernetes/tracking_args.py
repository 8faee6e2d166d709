"""What a program says of a workspace's tracking server on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from trainstack.components.declaration import checked
from trainstack.components.kubernetes.args import KubernetesArgs


@checked
@dataclass(kw_only=True)
class ClusterTracking:
    """A workspace's own MLflow server on a cluster. All but `database` and the settings' values are plain.

    Attributes:
        kubernetes: Which cluster and where in it. `settings` and `secret_settings` are environment variables of the
            server: those of the bucket's server and credentials, say. What else is for runs alone is refused.
        database: `postgresql://USER:PASSWORD@HOST:PORT/NAME`, a secret however it is given; a file of the server's
            volume when left out.
        artifacts: `s3://BUCKET/FOLDER`; a folder of the server's volume when left out.
        size_gib: GiB that the volume asks for, where there is one.
        storage_class: Its class; the cluster's default when left out.
        keep: Whether `pulumi destroy` leaves the volume with the history, and a namespace that was made for it.
        cpu: CPUs that the server asks for.
        memory_gib: GiB of memory that it asks for and may use.
        expose: `port-forward`, through the API server to a port of this machine, or `ingress`. MLflow has no login.
        host: The name that an Ingress answers to.
        ingress_class: The class of the Ingress.
        tls_secret: The Secret with the Ingress's certificate.
        ingress_annotations: What the Ingress's controller is told besides: which login it asks for.
        docker_host: The engine that makes the server's image; as for a compute when left out.
    """

    kubernetes: KubernetesArgs = field(default_factory=KubernetesArgs)
    database: pulumi.Input[str] | None = None
    artifacts: str | None = None
    size_gib: float = 10
    storage_class: str | None = None
    keep: bool = True
    cpu: float = 0.5
    memory_gib: float = 2
    expose: str = "port-forward"
    host: str | None = None
    ingress_class: str | None = None
    tls_secret: str | None = None
    ingress_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    docker_host: str | None = None
