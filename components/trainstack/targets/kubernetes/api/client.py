"""Reach a cluster by its context, and say in one line what is wrong when it cannot be used.

The client library is loaded by the first call, not with this module.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, TypeAlias, cast

from trainstack.abbreviation import abbreviated
from trainstack.errors import InvalidInputError, TrainstackError
from trainstack.targets.kubernetes import installed
from trainstack.targets.kubernetes.api import mpijobs
from trainstack.targets.kubernetes.api.timeouts import ANSWER_SECONDS
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.manifest import Manifest

Client: TypeAlias = Any
"""Something of the `kubernetes` package, which comes without types."""

IN_CLUSTER = "TRAINSTACK_IN_CLUSTER"
"""Variable of a driver's pod: its compute means the cluster that it is in, whatever context that names."""
FORBIDDEN, NOT_FOUND = 403, 404
"""Codes of the API server's answers."""
_NEEDED = (
    ("create", "batch", "jobs", ""),
    ("delete", "batch", "jobs", ""),
    ("create", "", "services", ""),
    ("create", "networking.k8s.io", "networkpolicies", ""),
    ("watch", "", "pods", ""),
    ("watch", "", "events", ""),
    ("get", "", "pods", "exec"),
)
"""What a run asks of the API server: verb, group, resource, subresource."""
_NEEDED_BY_MPI = (("create", "kubeflow.org", "mpijobs", ""), ("delete", "kubeflow.org", "mpijobs", ""))


class KubernetesApi:
    """A cluster's API. Making one reaches nobody."""

    def __init__(self, config: KubernetesConfig) -> None:
        """Use what `config` says."""
        self.config = config
        self.namespace = config.namespace

    @cached_property
    def client_configuration(self) -> Client:
        """Where the API server is and who we are.

        Raises:
            InvalidInputError: There is no such context, no kubeconfig, or no client library.
        """
        installed.require()
        from kubernetes import client, config

        load: Any = config
        configuration: Client = client.Configuration()
        # A default of the library is three more tries, each with its own limit.
        configuration.retries = 0
        path = os.environ.get("KUBECONFIG") or None
        in_cluster = path is None and "KUBERNETES_SERVICE_HOST" in os.environ
        if in_cluster and (self.config.context is None or IN_CLUSTER in os.environ):
            with contextlib.suppress(config.ConfigException):
                load.load_incluster_config(client_configuration=configuration)
                return configuration
        try:
            load.load_kube_config(path, self.config.context, client_configuration=configuration, persist_config=False)
        except (config.ConfigException, OSError, ValueError, TypeError) as exc:
            raise InvalidInputError(self._unconfigured(path, exc), field="context") from exc
        return configuration

    def client(self) -> Client:
        """A connection of its own: what an exec does to one is nothing for other threads."""
        from kubernetes import client

        return client.ApiClient(self.client_configuration)

    @cached_property
    def core(self) -> Client:
        """Pods, services, namespaces."""
        from kubernetes import client

        return client.CoreV1Api(self.client())

    @cached_property
    def batch(self) -> Client:
        """Jobs."""
        from kubernetes import client

        return client.BatchV1Api(self.client())

    @cached_property
    def networking(self) -> Client:
        """Network policies."""
        from kubernetes import client

        return client.NetworkingV1Api(self.client())

    @cached_property
    def custom(self) -> Client:
        """Objects of what others have added to the cluster."""
        from kubernetes import client

        return client.CustomObjectsApi(self.client())

    def check(self) -> None:
        """Ask whether the cluster answers and lets us do what a run needs.

        Raises:
            InvalidInputError: The context is not there, or who it names may not do so.
            TrainstackError: Nobody answers.
        """
        from kubernetes import client

        reviews: Any = client.AuthorizationV1Api(self.client())

        def allowed(permission: tuple[str, str, str, str]) -> bool:
            verb, group, resource, subresource = permission
            attributes = {"namespace": self.namespace, "verb": verb, "group": group, "resource": resource}
            body = {"spec": {"resourceAttributes": {**attributes, "subresource": subresource}}}
            answer = reviews.create_self_subject_access_review(body, _request_timeout=ANSWER_SECONDS)
            return bool(answer.status.allowed)

        needed = _NEEDED + (_NEEDED_BY_MPI if self.config.engine == "mpijob" else ())
        with self.errors("asking what is allowed"), ThreadPoolExecutor(len(needed)) as pool:
            refused = [permission for permission, may in zip(needed, pool.map(allowed, needed), strict=True) if not may]
        if self.config.engine == "mpijob":
            mpijobs.check(self)
        if refused:
            verb, group, resource, subresource = refused[0]
            what = "/".join(part for part in (group, resource, subresource) if part)
            raise InvalidInputError(
                f"kubernetes: you may not {verb} {what} in {self.config.described}: ask for a role that allows it",
                field="namespace",
            )

    def ensure_namespace(self) -> None:
        """Find the namespace, or create it.

        Raises:
            TrainstackError: It is not there and we may not create it.
        """
        from kubernetes.client.exceptions import ApiException

        with self.errors(f"looking for namespace {self.namespace}"):
            try:
                self.core.read_namespace(self.namespace, _request_timeout=ANSWER_SECONDS)
            except ApiException as exc:
                refused: Any = exc
                # Who may only work in one namespace may often not read it either; what is created there will tell.
                if refused.status != 404:
                    return
            else:
                return
        body = {"metadata": {"name": self.namespace, "labels": {"app.kubernetes.io/managed-by": "trainstack"}}}
        with self.errors(f"creating namespace {self.namespace}"):
            try:
                self.core.create_namespace(body, _request_timeout=ANSWER_SECONDS)
            except ApiException as exc:
                refused: Any = exc
                if refused.status != 409:
                    raise

    @contextlib.contextmanager
    def errors(self, doing: str) -> Generator[None]:
        """Turn what the library raises into one line.

        Args:
            doing: What is being done, the line's beginning.

        Raises:
            TrainstackError: The cluster refused or does not answer.
        """
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError
        from websocket import WebSocketException

        try:
            yield
        except ApiException as exc:
            refused: Any = exc
            # Who cannot be told apart counts as nobody where nobody is let in at all.
            if refused.status == 401 or "system:anonymous" in str(refused.body):
                raise InvalidInputError(
                    f"kubernetes: {self.client_configuration.host} does not accept your credentials: log in again, "
                    "or name another context",
                    field="context",
                ) from exc
            raise TrainstackError(f"kubernetes: {doing}: {_error_message(exc)}") from exc
        except (HTTPError, OSError, WebSocketException) as exc:
            raise TrainstackError(
                f"kubernetes: {doing}: {self.client_configuration.host} does not answer ({_reason(exc)}): is the "
                "cluster up, and is it the right context?"
            ) from exc

    def request(self, doing: str, ask: Callable[[], Any], nothing: tuple[int, ...] = (NOT_FOUND,)) -> Manifest | None:
        """What the API server answers to one question.

        Args:
            doing: What is being done, for an error.
            ask: Asks, without having the library read the answer.
            nothing: Codes of an answer that mean that there is nothing.

        Raises:
            TrainstackError: The cluster refuses or does not answer.
        """
        from kubernetes.client.exceptions import ApiException

        with self.errors(doing):
            try:
                answer = ask()
            except ApiException as exc:
                refused: Any = exc
                if refused.status in nothing:
                    return None
                raise
        return cast("Manifest", answer if isinstance(answer, dict) else json.loads(answer.data))

    def resources_of(self, doing: str, group: str, version: str, seconds: float) -> Manifest | None:
        """What the API server has of a group's version; none where it does not serve that.

        Args:
            doing: What is being done, for an error.
            group: The API group.
            version: Its version.
            seconds: How long to wait for an answer.

        Raises:
            TrainstackError: The cluster refuses or does not answer.
        """
        resources = self.custom.get_api_resources
        ask = partial(resources, group, version, _preload_content=False, _request_timeout=seconds)
        return self.request(doing, ask)

    def _unconfigured(self, path: str | None, exc: BaseException) -> str:
        from kubernetes import config

        listing: Any = config
        where = path or "~/.kube/config"
        with contextlib.suppress(Exception):
            contexts, _ = listing.list_kube_config_contexts(path)
            known = abbreviated(sorted(str(each["name"]) for each in contexts), 8)
            if self.config.context:
                return f"kubernetes: context {self.config.context!r} is not in {where}, which has: {known}"
        first = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        return f"kubernetes: {where} cannot be used ({first}): set KUBECONFIG, or name a context"


def _error_message(exc: Any) -> str:
    """What the API server said, in one line."""
    try:
        message = str(json.loads(exc.body)["message"])
    except (TypeError, ValueError, KeyError):
        message = str(exc.reason or exc)
    return " ".join(message.split())[:600]


def _reason(exc: BaseException) -> str:
    """The innermost reason, in a few words."""
    while (inner := getattr(exc, "reason", None) or exc.__cause__ or exc.__context__) and isinstance(
        inner, BaseException
    ):
        exc = inner
    return " ".join(str(exc).rpartition(": ")[2].split())[:200] or type(exc).__name__
