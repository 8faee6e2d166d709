"""What a web service cannot be asked for where it runs, said in preview."""

from __future__ import annotations

from trainstack.core.compute.compute import PATIENCE_SECONDS
from trainstack.core.services.service import ServiceSpec
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.provider import images
from trainstack.provider.base import Properties
from trainstack.provider.resource_log import ResourceLog


def placed(inputs: Properties) -> Properties:
    """A service's inputs with where it runs, which its compute says."""
    place = images.compute_of(inputs)
    where = {"target": place.get("target"), "docker_host": place.get("docker_host"), "cluster": place.get("kubernetes")}
    return {**inputs, **where}


def check_place(spec: ServiceSpec, inputs: Properties) -> None:
    """Refuse what there is on one kind of compute only.

    Args:
        spec: How the service is asked for.
        inputs: What the program gave.

    Raises:
        InvalidInputError: Names what to leave out.
    """
    if spec.serving is not None and spec.target != "kubernetes":
        raise _refused(spec, "kubernetes", "kubernetes is for a compute with target 'kubernetes': leave it out")
    if spec.server != "trainstack" and spec.target == "kubernetes":
        raise _refused(spec, "server", f"server {spec.server!r} is for a compute with target 'docker'")
    if spec.server != "trainstack" and spec.target == "local":
        raise _refused(
            spec,
            "server",
            f"server {spec.server!r} runs in a container only: give a compute with target 'docker', or take "
            "'trainstack'",
        )
    if spec.server_image and spec.server != "tensorflow-serving":
        raise _refused(spec, "server_image", "server_image is for server 'tensorflow-serving': leave it out")
    if spec.target == "local":
        return
    local = {"host": not spec.is_local, "tls_certificate": spec.tls_certificate, "capture": spec.capture}
    for field in (field for field, value in local.items() if value):
        raise _refused(
            spec, field, f"{field} is for services of this machine: leave out {_instead(spec, field)} or compute"
        )
    if spec.server == "tensorflow-serving":
        for field in ("key_rotation", "traffic", "mirror", "labels"):
            if inputs.get(field):
                raise _refused(
                    spec,
                    field,
                    f"TensorFlow Serving gets one version and no key: leave out {field}, or take server 'trainstack'",
                )


def check_cluster(spec: ServiceSpec, log: ResourceLog) -> None:
    """Refuse what the service's cluster does not serve, or somebody has there.

    Args:
        spec: How the service is asked for.
        log: Is warned when the cluster does not answer.

    Raises:
        InvalidInputError: Says what, and what to do.
    """
    if spec.target != "kubernetes" or spec.serving is None:
        return
    from trainstack.targets.kubernetes.api.client import Access
    from trainstack.targets.kubernetes.checks import prerequisites
    from trainstack.targets.kubernetes.config import Cluster

    cluster = spec.cluster or Cluster()
    for field in ("node_port", "host"):
        taken = getattr(spec.serving, field)
        if taken is not None:
            place = str(cluster.context), field, str(taken)
            if (other := _TAKEN.setdefault(place, spec.object_name)) != spec.object_name:
                raise _refused(spec, field, f"kubernetes: {field} {taken} is that of {other} already: take another")
    try:
        prerequisites.check(Access(cluster), spec.name, spec.object_name, spec.serving, PATIENCE_SECONDS)
    except InvalidInputError as exc:
        raise _refused(spec, exc.field, str(exc)) from exc
    except TrainstackError as exc:
        log.warn(f"what it needs of its cluster is not checked: {exc}")


# Which service of the program has a port or a host of a cluster: the process is that of one preview or update.
_TAKEN: dict[tuple[str, str, str], str] = {}


def _instead(spec: ServiceSpec, field: str) -> str:
    """What to leave out, and what a cluster has in its place."""
    if spec.target == "kubernetes" and field != "capture":
        return f"{field} (on a cluster, kubernetes has expose, host and tls_secret)"
    return field


def _refused(spec: ServiceSpec, field: str, reason: str) -> InvalidInputError:
    return InvalidInputError(f"web service {spec.name}: {reason}", field=field)
