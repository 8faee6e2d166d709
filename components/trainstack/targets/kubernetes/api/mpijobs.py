"""MPIJobs of a cluster: whether it serves them, which there are, and their removal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.manifest import Manifest, parts

if TYPE_CHECKING:
    from trainstack.targets.kubernetes.api.client import KubernetesApi

GROUP, VERSION, PLURAL = "kubeflow.org", "v2beta1", "mpijobs"


def listed(api: KubernetesApi, selector: str) -> list[Manifest]:
    """The MPIJobs that bear `selector`.

    Raises:
        TrainstackError: The cluster does not answer.
    """
    with api.errors("looking for MPIJobs"):
        answer = api.custom.list_namespaced_custom_object(
            *(GROUP, VERSION, api.namespace, PLURAL),
            label_selector=selector,
            _preload_content=False,
            _request_timeout=ANSWER_SECONDS,
        )
        return parts(json.loads(answer.data), "items")


def delete(api: KubernetesApi, selector: str) -> None:
    """Delete the MPIJobs that bear `selector`, and with them what the operator has made."""
    api.custom.delete_collection_namespaced_custom_object(
        *(GROUP, VERSION, api.namespace, PLURAL),
        label_selector=selector,
        propagation_policy="Background",
        _request_timeout=ANSWER_SECONDS,
    )


def check(api: KubernetesApi) -> None:
    """Ask whether the cluster serves MPIJobs.

    Raises:
        InvalidInputError: It does not.
        TrainstackError: The cluster refuses or does not answer.
    """
    if api.resources_of("asking for MPIJobs", GROUP, VERSION, ANSWER_SECONDS) is None:
        raise InvalidInputError(
            f"kubernetes: {api.client_configuration.host} serves no MPIJob ({GROUP}/{VERSION}): install Kubeflow's MPI "
            'operator there, or leave out engine="mpijob"',
            field="engine",
        )
