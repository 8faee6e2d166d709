"""Web services on a cluster: what is declared there is waited for, recorded in the workspace, and asked how it does.

The objects themselves are declared by the component; here nothing of them is made or removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from trainstack.core.models.model import ModelRecord
from trainstack.core.services import process
from trainstack.core.services.port import free_port
from trainstack.core.services.record import ServiceRecord, ServiceSpec, ServiceStatus, read_record, write_record
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import TrainstackError
from trainstack.storage import locks
from trainstack.targets.kubernetes import rollout
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects.serving_spec import ServingSpec


def start(
    workspace: Workspace, spec: ServiceSpec, model: ModelRecord, image: str, progress: Callable[[str], None]
) -> ServiceRecord:
    """Wait until every pod of a service serves a model, and record that.

    Args:
        workspace: The workspace.
        spec: How the service is asked for; its objects are on the cluster.
        model: The registered version that they are to serve.
        image: What they run.
        progress: Is told what is waited for, in the cluster's own words.

    Raises:
        TrainstackError: They do not come to serve it, or the cluster does not answer.
    """
    folder = workspace.service(spec.name)
    cluster, serving = cluster_of(spec), serving_of(spec)
    access = KubernetesApi(cluster)
    with (
        locks.shared(workspace.records_lock, lambda: progress("waiting for a removal from the workspace")),
        locks.exclusive(folder / "lock", lambda: progress("waiting for another change of this service")),
        contextlib.ExitStack() as reserved,
    ):
        old = read_record(workspace, spec.name)
        with locks.exclusive(workspace.root / "services" / ".ports.lock"):
            port = spec.port or (old.port if old is not None else free_port(workspace, spec, reserved))
        name = spec.object_name
        try:
            if serving.engine == "kserve":
                root = rollout.await_inference_service(access, name, spec.start_timeout, progress)
            else:
                rollout.await_deployment(access, name, model.digest, spec.start_timeout, progress)
                root = _root(access, name, serving, port)
        except TrainstackError as exc:
            raise TrainstackError(f"service {spec.name}: {exc}") from exc
        process.terminate(process.living(folder), drain=spec.drain_timeout)
        record = ServiceRecord(
            name=spec.name,
            model_name=model.name,
            model_version=model.version,
            model_digest=model.digest,
            host=urlsplit(root).hostname or "",
            port=port,
            scoring_uri=f"{root}/v1/models/{model.name}:predict",
            tls=root.startswith("https:"),
            status="running",
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            python="",
            target=spec.target,
            cluster=cluster,
            serving=serving,
            object_name=name,
            image=image,
            folder=str(folder),
        )
        write_record(record)
        progress(f"serving at {record.scoring_uri}")
        return record


def status(record: ServiceRecord) -> ServiceStatus:
    """Ask the cluster how a service does; one whose cluster does not answer is down."""
    access = KubernetesApi(cluster_of(record))
    try:
        if serving_of(record).engine == "kserve":
            workload = rollout.inference_service(access, record.object_name)
        else:
            workload = rollout.deployment(access, record.object_name)
    except TrainstackError as exc:
        return ServiceStatus(state="down", detail=f"service {record.name}: {exc}")
    if workload is None:
        return ServiceStatus(state="down", detail=f"service {record.name} has nothing on the cluster")
    if workload.digest != record.model_digest:
        detail = f"service {record.name} serves {workload.digest[:12]}, not {record.model_digest[:12]}"
        return ServiceStatus(state="other", digest=workload.digest, detail=detail)
    if not workload.available:
        return ServiceStatus(state="starting", detail=f"service {record.name} has no pod that is ready")
    what = f"{record.model_name} version {record.model_version} at {record.scoring_uri}"
    return ServiceStatus(state="healthy", digest=workload.digest, detail=f"service {record.name} serves {what}")


def stop(record: ServiceRecord) -> None:
    """Note that a service is no more; its objects go as they were declared."""
    write_record(record.model_copy(update={"status": "stopped"}))


def cluster_of(service: ServiceSpec | ServiceRecord) -> KubernetesConfig:
    """Return which cluster a service is on; the current context's where nothing says."""
    return service.cluster if isinstance(service.cluster, KubernetesConfig) else KubernetesConfig()


def serving_of(service: ServiceSpec | ServiceRecord) -> ServingSpec:
    """Return how a service runs on its cluster."""
    return service.serving if isinstance(service.serving, ServingSpec) else ServingSpec()


def _root(access: KubernetesApi, name: str, serving: ServingSpec, port: int) -> str:
    """Where a service is reached from outside, without a path."""
    if serving.expose == "ingress":
        return f"{'https' if serving.tls_secret else 'http'}://{serving.host}"
    if serving.expose == "node-port":
        service: Any = rollout.service(access, name)
        return f"http://{rollout.node_address(access)}:{service['spec']['ports'][0]['nodePort']}"
    return f"http://127.0.0.1:{port}"
