"""Whether a namespace that is not to be created exists."""

from __future__ import annotations

from trainstack.errors import InvalidInputError
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import namespace


def check_namespace(config: KubernetesConfig, seconds: float) -> None:
    """Ask the cluster for its namespace, unless it is to be created.

    Args:
        config: Which one.
        seconds: How long to wait for an answer.

    Raises:
        InvalidInputError: It is missing and is not to be created.
        TrainstackError: The cluster does not answer.
    """
    if not config.create_namespace and namespace.look(KubernetesApi(config), seconds) is None:
        raise InvalidInputError(
            f"kubernetes: there is no {config.described}: have it created, or leave out create_namespace",
            field="namespace",
        )
