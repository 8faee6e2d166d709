"""A workspace's tracking server on a cluster: waited for until it answers, and looked after."""

from __future__ import annotations

import contextlib
import os

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.compute.compute import PATIENCE_SECONDS
from trainstack.core.tracking import cluster_server, tracking_server
from trainstack.core.tracking.settings import read_settings
from trainstack.errors import InvalidInputError, TrainstackError, WorkspaceNotFoundError
from trainstack.provider.base import BaseProvider, Properties, known, log_of, own, workspace_of
from trainstack.provider.base import integral as whole
from trainstack.storage.object_store.address import ENDPOINTS, check_endpoint
from trainstack.targets.kubernetes.checks.namespace_check import check_namespace
from trainstack.targets.kubernetes.config import KubernetesConfig


class TrackingServerProvider(BaseProvider):
    """An MLflow server that answers."""

    content = ("cluster", "server", "settings", "container")

    def accept(self, news: Properties) -> Properties:
        """Check what the program could not: the bucket's server, and a namespace that is taken for there."""
        settings: Properties = news.get("settings") or {}
        for name in ENDPOINTS:
            if known(settings.get(name, "")) and news["server"].get("artifacts"):
                check_endpoint(str(settings.get(name, "")), "tracking: artifacts")
        try:
            check_namespace(_config(news), PATIENCE_SECONDS)
        except InvalidInputError:
            raise
        except TrainstackError as exc:
            log_of(news).warn(f"its namespace is not checked: {exc}")
        return news

    def create(self, props: Properties) -> CreateResult:
        """Wait until it answers."""
        return CreateResult(props["name"], self._await(own(props)))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Wait until it answers as it is now declared."""
        return UpdateResult(self._await(own(_news)))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Find out whether its Deployment is there; a cluster that does not answer tells nothing of it."""
        inputs = own(props)
        try:
            reason = cluster_server.drift(_config(inputs), inputs["name"], inputs["container"]["revision"])
        except TrainstackError as exc:
            log_of(inputs).warn(str(exc))
            return ReadResult(id_, inputs)
        with contextlib.suppress(WorkspaceNotFoundError):
            inputs["address"] = read_settings(workspace_of(inputs)).address
        return ReadResult(id_, {**inputs, "drift": [reason] if reason else []})

    def delete(self, _id: str, _props: Properties) -> None:
        """End this machine's way to it, unless the history is elsewhere by now."""
        with contextlib.suppress(WorkspaceNotFoundError):
            workspace = workspace_of(_props)
            server = read_settings(workspace).cluster
            if server is not None and server.name == _props["name"]:
                tracking_server.stop(workspace)

    def _await(self, inputs: Properties) -> Properties:
        log = log_of(inputs)
        cluster_server.await_answering(_config(inputs), inputs["name"], inputs["container"]["revision"], log.progress)
        workspace = workspace_of(inputs)
        settings = read_settings(workspace)
        if settings.cluster is None or os.environ.get(tracking_server.SWITCH) == "off":
            # The name of an Ingress may come to be known later; its pod answers.
            tracking_server.start_in_background(workspace)
            address = settings.address
        else:
            address = tracking_server.ensure(workspace, log.progress)
        log.info(f"at {address}")
        return {**inputs, "address": address, "drift": []}


def _config(inputs: Properties) -> KubernetesConfig:
    return KubernetesConfig.model_validate(whole(inputs["cluster"]))
