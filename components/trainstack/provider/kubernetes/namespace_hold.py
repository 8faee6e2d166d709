"""Between a namespace that a program has made and all that it puts there: the namespace goes only when it is empty."""

from __future__ import annotations

from pulumi.dynamic import CreateResult, DiffResult

from trainstack.provider.base import BaseProvider, Properties, changed, own
from trainstack.targets.kubernetes.api.client import KubernetesApi
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import namespace


class NamespaceHoldProvider(BaseProvider):
    """Keeps a namespace from being removed with what others have in it."""

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Another namespace is another hold."""
        replaces = changed(("namespace", "context"), olds, news)
        return DiffResult(changes=bool(replaces), replaces=replaces)

    def create(self, props: Properties) -> CreateResult:
        """Nothing is done before the end."""
        return CreateResult(props["namespace"], own(props))

    def delete(self, _id: str, _props: Properties) -> None:
        """Refuse while something is in it."""
        namespace.check_empty(
            KubernetesApi(KubernetesConfig(context=_props.get("context") or None, namespace=str(_props["namespace"])))
        )
