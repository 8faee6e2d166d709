"""Promoted models: the same bytes as another stack's; the resource changes when that stack exports others."""

from __future__ import annotations

from trainstack.core.models import aliases, promotion
from trainstack.core.models.model_record import ModelOutputs
from trainstack.core.models.promotion import Promotion, PromotionInputs
from trainstack.core.workspace.workspace import checked_name
from trainstack.errors import InvalidInputError, TrainstackError, WorkspaceNotFoundError
from trainstack.provider.base import Properties, finite, known, log_of, parsed, validated, workspace_of
from trainstack.provider.model import VersionedModelProvider, alias_versions


class PromotedModelProvider(VersionedModelProvider, inputs=PromotionInputs):
    """A model that another stack made."""

    def accept(self, news: Properties) -> Properties:
        """Check that the model can be read; its digest is the identity of the resource's content."""
        if known(news["name"]):
            checked_name(news["name"], "model")
        if known(news.get("alias") or {}):
            news = {**news, "alias": aliases.validated(news.get("alias") or {})}
        summary: object = news["promoted"]
        if not isinstance(summary, dict):
            if known(summary):
                raise InvalidInputError(f"model {news['name']}: give the other stack's model.summary, not {summary!r}")
            return news
        source = validated(Promotion, news["promoted"], "promoted model")
        if source is None:
            return news
        if not _is_registered(news, source.digest):
            try:
                promotion.read_source(source)
            except TrainstackError as exc:
                raise InvalidInputError(str(exc)) from exc
        return {**news, "digest": source.digest}

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Restore what drifted, and register the version that the other stack exports."""
        workspace = workspace_of(inputs)
        self.restore_drift(workspace, olds)
        source = parsed(Promotion, inputs["promoted"], f"model {inputs['name']}")
        log = log_of(inputs)
        record = promotion.promote(workspace, inputs["name"], source, log.progress)
        versions = alias_versions(inputs, record.version)
        aliases.move(workspace, record.name, versions, (olds or {}).get("alias"))
        log.info(
            f"version {record.version}, {record.digest[:12]}, promoted from {source.name} version {source.version}"
        )
        metrics = finite(promotion.metrics(source))
        return {**inputs, **ModelOutputs.of(record, versions).model_dump(), "metrics": metrics}


def _is_registered(inputs: Properties, digest: str) -> bool:
    """Whether the workspace has these files already under the model's name."""
    if not known(inputs["workspace"]):
        return False
    try:
        workspace = workspace_of(inputs)
    except WorkspaceNotFoundError:
        return False
    return promotion.find_promoted(workspace, inputs["name"], digest) is not None
