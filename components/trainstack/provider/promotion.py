"""Promoted models: the same bytes as another stack's; the resource changes when that stack exports others."""

from __future__ import annotations

from pulumi.dynamic import CreateResult, ReadResult, UpdateResult

from trainstack.core.models import aliases, model, promotion
from trainstack.core.workspace.workspace import Workspace, checked_name
from trainstack.errors import InvalidInputError, NotFoundError, TrainstackError
from trainstack.provider.base import BaseProvider, Properties, finite, known, log_of, own, validated, workspace_of
from trainstack.provider.model import alias_versions, moved_aliases, outputs


class PromotedModelProvider(BaseProvider):
    """A model that another stack made."""

    content = ("digest", "alias")

    def accept(self, news: Properties) -> Properties:
        """Look whether the model can be had; its digest is what the resource is."""
        if known(news["name"]):
            checked_name(news["name"], "model")
        if known(alias := news.get("alias") or {}):
            news = {**news, "alias": aliases.validated(alias)}
        given = news["promoted"]
        if not isinstance(given, dict) and known(given):
            raise InvalidInputError(f"model {news['name']}: give the other stack's model.summary, not {given!r}")
        wanted = validated(promotion.Promotion, given if isinstance(given, dict) else {"name": given}, "promoted model")  # pyright: ignore[reportUnknownArgumentType]
        if wanted is None:
            return news
        if not self._there(news, wanted.digest):
            try:
                promotion.read_source(wanted)
            except TrainstackError as exc:
                raise InvalidInputError(str(exc)) from exc
        return {**news, "digest": wanted.digest}

    def create(self, props: Properties) -> CreateResult:
        """Take it over."""
        return CreateResult(props["name"], self._promote(own(props)))

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Put back what drifted, and take over what the other stack exports now."""
        if _olds.get("drift"):
            workspace = workspace_of(_news)
            model.restore(workspace, model.find(workspace, _olds["name"], int(_olds["version"])))
        return UpdateResult(self._promote(own(_news), _olds.get("alias")))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Compare the version's files with their digests."""
        try:
            workspace = workspace_of(props)
            record = model.find(workspace, props["name"], int(props["version"]))
        except NotFoundError:
            return ReadResult("", {})
        moved = moved_aliases(workspace, props)
        return ReadResult(id_, {**own(props), "drift": [*model.find_drift(workspace, record), *moved]})

    def _there(self, inputs: Properties, digest: str) -> bool:
        if not known(inputs["workspace"]):
            return False
        try:
            workspace: Workspace = workspace_of(inputs)
        except NotFoundError:
            return False
        return promotion.find_promoted(workspace, inputs["name"], digest) is not None

    def _promote(self, inputs: Properties, had: Properties | None = None) -> Properties:
        wanted = validated(promotion.Promotion, inputs["promoted"], "promoted model")
        if wanted is None:
            raise InvalidInputError(f"model {inputs['name']}: the other stack's model is not known")
        log = log_of(inputs)
        workspace = workspace_of(inputs)
        record = promotion.promote(workspace, inputs["name"], wanted, log.progress)
        moved = alias_versions(inputs, record.version)
        aliases.move(workspace, record.name, moved, had)
        log.info(
            f"version {record.version}, {record.digest[:12]}, promoted from {wanted.name} version {wanted.version}"
        )
        return {**outputs(inputs, record), "metrics": finite(promotion.metrics(wanted)), "aliases": moved}
