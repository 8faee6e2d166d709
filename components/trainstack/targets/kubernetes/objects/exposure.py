"""How pods that answer HTTP are reached: a Service before them, an Ingress for those outside. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.labels import INSTANCE
from trainstack.targets.kubernetes.manifest import Manifest

HTTP = "http"
"""The name of the port in pods and Services."""
_HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def checked_host(host: str | None) -> str | None:
    """Return the name that an Ingress answers to, when it can be one.

    Raises:
        InvalidInputError: It cannot.
    """
    if host is not None and not _HOST.fullmatch(host):
        raise InvalidInputError(f"host {host!r} is no name of a host: write one like mnist.example.com", field="host")
    return host


def service(
    metadata: Mapping[str, Any], port: int, *, kind: str = "ClusterIP", node_port: int | None = None
) -> Manifest:
    """A Service of its own name.

    Args:
        metadata: Name, namespace and labels; its pods bear the name as `INSTANCE`.
        port: Its port.
        kind: Its type.
        node_port: The port of every node, for `NodePort`; the cluster chooses when left out.
    """
    service_port: Manifest = {"name": HTTP, "port": port, "targetPort": HTTP, "protocol": "TCP"}
    if node_port is not None:
        service_port["nodePort"] = node_port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": kind, "selector": {INSTANCE: metadata["name"]}, "ports": [service_port]},
    }


def ingress(
    metadata: Mapping[str, Any],
    host: str | None,
    *,
    ingress_class: str | None,
    tls_secret: str | None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """An Ingress to the Service of the same name.

    Args:
        metadata: Name, namespace and labels.
        host: The name that it answers to.
        ingress_class: Its class; the cluster's default when left out.
        tls_secret: The Secret with its certificate; plain HTTP when left out.
        annotations: What its controller is told besides.
    """
    backend = {"service": {"name": metadata["name"], "port": {"name": HTTP}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    spec: Manifest = {"rules": [rule]}
    if ingress_class:
        spec["ingressClassName"] = ingress_class
    if tls_secret:
        spec["tls"] = [{"hosts": [host], "secretName": tls_secret}]
    annotated = {**metadata, "annotations": dict(annotations)} if annotations else metadata
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": annotated, "spec": spec}


def url(host: str, tls_secret: str | None) -> str:
    """The address that an Ingress answers at."""
    return f"{'https' if tls_secret else 'http'}://{host}"
