"""The image of a workspace's tracking server on a cluster: the curated MLflow environment, in the workspace's registry.

With it comes a mark of the secrets that the server is given: when those change so does the mark, which the server's
pod bears and is therefore replaced. It is drawn by lot and tells nothing of them.
"""

from __future__ import annotations

import secrets

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.environments import environment
from trainstack.core.tracking.mlflow_process import ENVIRONMENT
from trainstack.mlflow.server_settings import DATABASE
from trainstack.provider import images
from trainstack.provider.base import BaseProvider, Properties, known, log_of, own
from trainstack.targets.kubernetes.objects import tracking_objects


class TrackingImageProvider(BaseProvider):
    """MLflow as an image."""

    identity = ("name",)
    content = ("environment", "compute", "registry", "base_image", "secrets")

    def accept(self, news: Properties) -> Properties:
        """Check all that can be known, the database's address too; find which MLflow it is to be."""
        images.check(news)
        variables: Properties = news.get("secrets") or {}
        if DATABASE in variables and known(variables[DATABASE]):
            tracking_objects.check_database(str(variables[DATABASE]))
        spec = environment.get_curated(ENVIRONMENT)
        return {**news, "environment": environment.lock(spec, here=False).digest}

    def create(self, props: Properties) -> CreateResult:
        """Find it in the registry, else build and push it."""
        return CreateResult(props["name"], self._ensure(own(props), {}))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Make the one that is wanted now."""
        return UpdateResult(self._ensure(own(_news), own(_olds)))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Keep what is known: pods that cannot pull it say so."""
        return ReadResult(id_, own(props))

    def _ensure(self, inputs: Properties, before: Properties) -> Properties:
        log = log_of(inputs)
        spec = images.on_base(inputs, environment.get_curated(ENVIRONMENT))
        lock = environment.lock(spec, progress=log.progress, here=False)
        built = images.ensure(inputs, spec, lock, log.progress)
        log.info(f"image {built.reference}")
        revision = before["container"]["revision"] if before.get("secrets") == inputs["secrets"] else None
        container = {"image": built.reference, "python": built.python, "revision": revision or secrets.token_hex(4)}
        return {**inputs, "container": container, "drift": []}
