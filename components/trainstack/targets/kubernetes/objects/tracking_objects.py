"""The objects of a workspace's tracking server on a cluster, as the API server gets them. Pure functions.

A Deployment of one MLflow server, which keeps runs in a file of its volume or in PostgreSQL, and artifacts in a folder
of its volume or in a bucket. MLflow has no login: nobody reaches it but through the API server, from pods that bear a
label, or by an Ingress where one is asked for. Values that a program knows only later may be of any type that the
reader of the objects resolves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainstack.errors import InvalidInputError
from trainstack.mlflow import server_settings
from trainstack.storage.object_store.address import checked_form
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.api.exec import script
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.manifest import Manifest
from trainstack.targets.kubernetes.objects import exposure
from trainstack.targets.kubernetes.objects.compute_resources import PvcSpec, claim
from trainstack.targets.kubernetes.objects.exposure import HTTP
from trainstack.targets.kubernetes.objects.run_objects import CONTAINER_RIGHTS, POD_RIGHTS, account, scheduling

PORT = 5000
SERVER = "trainstack.mlflow"
"""Label with the workspace's name."""
CLIENT = "trainstack.mlflow.client"
"""Label of other pods of the namespace that may reach the server: its value is what the server's objects are called."""
REVISION = "trainstack.mlflow.revision"
"""Annotation of the pod: another one where its secrets have changed."""
_FOLDER = "/data"
_TMP = "/tmp"  # noqa: S108 (the pod's own)
_DRIVER = "postgresql+psycopg2"
_SCHEMES = ("postgresql", "postgres", _DRIVER)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class TrackingSpec(BaseModel):
    """How a tracking server runs on a cluster.

    Attributes:
        database: Whether it has a PostgreSQL database; a file of its volume otherwise.
        artifacts: `s3://BUCKET/FOLDER`; a folder of its volume when left out.
        size_gib: GiB that its volume asks for, where it has one.
        storage_class: The volume's class; the cluster's default when left out.
        cpu: CPUs that it asks for; what is idle on the node it may use besides.
        memory_gib: GiB of memory that it asks for and may use.
        expose: `port-forward` (not at all but through the API server) or `ingress`.
        host: The name that an Ingress answers to.
        ingress_class: The class of the Ingress; the cluster's default when left out.
        tls_secret: The Secret with the Ingress's certificate; plain HTTP when left out.
        ingress_annotations: What the Ingress's controller is told besides: a login, say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    database: bool = False
    artifacts: str | None = None
    size_gib: float = Field(default=10.0, gt=0)
    storage_class: str | None = None
    cpu: float = Field(default=0.5, gt=0)
    memory_gib: float = Field(default=2.0, ge=1)
    expose: Literal["port-forward", "ingress"] = "port-forward"
    host: str | None = None
    ingress_class: str | None = None
    tls_secret: str | None = None
    ingress_annotations: dict[str, str] = Field(default_factory=dict)

    @field_validator("host")
    @classmethod
    def _is_host(cls, host: str | None) -> str | None:
        return exposure.checked_host(host)

    @field_validator("artifacts")
    @classmethod
    def _is_bucket(cls, artifacts: str | None) -> str | None:
        return None if artifacts is None else checked_form(artifacts, "artifacts", ("s3",))

    @model_validator(mode="after")
    def _check(self) -> TrackingSpec:
        if (self.expose == "ingress") != (self.host is not None):
            raise ValueError("an ingress takes a host, and a host an ingress")
        return self

    @property
    def has_volume(self) -> bool:
        """Whether it keeps anything on a volume."""
        return not self.database or self.artifacts is None

    @property
    def url(self) -> str:
        """Its address, where an Ingress gives it one; empty otherwise."""
        return exposure.url(self.host, self.tls_secret) if self.host else ""


def check_database(address: str) -> None:
    """Refuse what is no address of a PostgreSQL database that pods can reach, without saying it: it has a password.

    Raises:
        InvalidInputError: Says what is wrong.
    """
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES or not parts.hostname or not parts.path.strip("/"):
        raise InvalidInputError(
            "tracking: database is no address of a PostgreSQL database: write postgresql://USER:PASSWORD@HOST:PORT/NAME",
            field="database",
        )
    if parts.hostname in _LOOPBACK:
        raise InvalidInputError(
            f"tracking: database is on {parts.hostname}, which pods cannot reach: name an address of the server that "
            "the cluster's network knows",
            field="database",
        )


def with_driver(address: str) -> str:
    """A database's address with the driver that the image has, whatever SQLAlchemy takes by itself."""
    scheme, _, rest = address.partition("://")
    return f"{_DRIVER}://{rest}" if scheme in _SCHEMES else address


def claim_name(name: str) -> str:
    """What the claim of a server's volume is called."""
    return f"{name}-data"


def objects(
    name: str,
    workspace: str,
    stack: str,
    config: KubernetesConfig,
    spec: TrackingSpec,
    container: Any,
    *,
    settings: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
) -> dict[str, Manifest]:
    """All objects of a tracking server.

    Args:
        name: What they are called.
        workspace: The workspace's name.
        stack: The Pulumi stack that declares it.
        config: Where they are.
        spec: How it runs.
        container: Its `image`, the `python` in it, and the `revision` of its secrets.
        settings: Environment variables of the server.
        secrets: Secret ones, in base64.

    Returns:
        Them, by kind, in the order in which they are to be made.
    """
    server_labels = {
        labels.MANAGED: "trainstack",
        INSTANCE: name,
        SERVER: labels.value(workspace),
        labels.STACK: labels.value(stack),
    }
    metadata = {"name": name, "namespace": config.namespace, "labels": server_labels}
    manifests: dict[str, Manifest] = {"NetworkPolicy": _network_policy(metadata, spec)}
    if secrets:
        manifests["Secret"] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": dict(secrets),
        }
    if spec.has_volume:
        pvc_metadata = {**metadata, "name": claim_name(name)}
        pvc = PvcSpec(
            name=claim_name(name),
            size_gib=spec.size_gib,
            storage_class=spec.storage_class,
            access_mode="ReadWriteOnce",
        )
        header = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": pvc_metadata}
        manifests["PersistentVolumeClaim"] = claim(header, pvc)
    manifests["Service"] = exposure.service(metadata, PORT)
    manifests["Deployment"] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {INSTANCE: name}},
            "revisionHistoryLimit": 3,
            # Two at once would share a file, or an older MLflow a newer one's database.
            "strategy": {"type": "Recreate"},
            "progressDeadlineSeconds": int(config.pending_deadline),
            "template": {
                "metadata": {"labels": server_labels, "annotations": {REVISION: container["revision"]}},
                "spec": _pod(name, config, spec, container, settings or {}, has_secrets=bool(secrets)),
            },
        },
    }
    if spec.expose == "ingress":
        manifests["Ingress"] = exposure.ingress(
            metadata,
            spec.host,
            ingress_class=spec.ingress_class,
            tls_secret=spec.tls_secret,
            annotations=spec.ingress_annotations,
        )
    return manifests


def _pod(
    name: str,
    config: KubernetesConfig,
    spec: TrackingSpec,
    container: Any,
    settings: Mapping[str, Any],
    *,
    has_secrets: bool,
) -> Manifest:
    memory = f"{round(spec.memory_gib * 1024)}Mi"
    health = {"httpGet": {"path": "/health", "port": HTTP}, "timeoutSeconds": 10}
    volumes: list[Manifest] = [{"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "tmp", "mountPath": _TMP}]
    if spec.has_volume:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim_name(name)}})
        mounts.append({"name": "data", "mountPath": _FOLDER})
    return {
        **account(config),
        **scheduling(config),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        # A volume with many artifacts is not walked through at every start.
        "securityContext": {**POD_RIGHTS, "fsGroupChangePolicy": "OnRootMismatch"},
        "containers": [
            {
                "name": "server",
                "image": container["image"],
                "command": [container["python"], "-c", script("serve_tracking"), str(PORT)],
                "workingDir": _TMP,
                "env": [
                    {"name": key, "value": text}
                    for key, text in {**_DEFAULTS, **settings, **_variables(name, config, spec)}.items()
                ],
                **({"envFrom": [{"secretRef": {"name": name}}]} if has_secrets else {}),
                "ports": [{"name": HTTP, "containerPort": PORT, "protocol": "TCP"}],
                # It makes its database first, or brings it up to a newer MLflow.
                "startupProbe": {**health, "periodSeconds": 2, "failureThreshold": 300},
                "readinessProbe": {**health, "periodSeconds": 10, "failureThreshold": 3},
                "livenessProbe": {**health, "periodSeconds": 20, "failureThreshold": 6},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "resources": {
                    "requests": {"cpu": f"{round(spec.cpu * 1000)}m", "memory": memory},
                    "limits": {"memory": memory},
                },
                "securityContext": CONTAINER_RIGHTS,
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


# Servers that speak S3 need not know the checksums that Amazon's own takes.
_DEFAULTS = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


def _variables(name: str, config: KubernetesConfig, spec: TrackingSpec) -> dict[str, str]:
    known = [name, f"{name}.{config.namespace}", f"{name}.{config.namespace}.svc"]
    hosts = ["localhost", "127.0.0.1", *known, *([spec.host] if spec.host else [])]
    variables = {
        **server_settings.variables(spec.artifacts or f"file://{_FOLDER}/artifacts"),
        "HOME": _TMP,
        "PYTHONSAFEPATH": "1",
        # MLflow answers nobody who calls it by another name.
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(f"{host},{host}:*" for host in hosts),
    }
    if not spec.database:
        variables[server_settings.DATABASE] = f"sqlite:///{_FOLDER}/mlflow.db"
    if spec.url:
        variables["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] = spec.url
    return variables


def _network_policy(metadata: Manifest, spec: TrackingSpec) -> Manifest:
    ingress: Manifest = {"ports": [{"port": PORT, "protocol": "TCP"}]}
    if spec.expose != "ingress":
        ingress["from"] = [{"podSelector": {"matchLabels": {CLIENT: metadata["name"]}}}]
    spec_body: Manifest = {
        "podSelector": {"matchLabels": {INSTANCE: metadata["name"]}},
        "policyTypes": ["Ingress"],
        "ingress": [ingress],
    }
    if not spec.database and spec.artifacts is None:
        # With all that it keeps on its volume it asks nobody anything: no way out.
        spec_body |= {"policyTypes": ["Ingress", "Egress"], "egress": []}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec_body}
