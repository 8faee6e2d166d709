"""What all our providers share: inputs checked by pydantic, unknown values, paths, and a delete that keeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pulumi.dynamic import CheckFailure, CheckResult, DiffResult, ReadResult, ResourceProvider
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.properties import integral
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError
from trainstack.provider.engine_watch import end_with_engine
from trainstack.provider.resource_log import ResourceLog, one_line_errors

if TYPE_CHECKING:
    from pydantic import BaseModel

one_line_errors()
end_with_engine()

Properties = dict[str, Any]
Model = TypeVar("Model", bound="BaseModel")


class BaseProvider(ResourceProvider):
    """Pulumi's verbs over the lifecycle.

    Subclasses give `accept`, which validates and completes the inputs, and the verbs.

    Attributes:
        identity: Inputs of which another value is another resource.
        content: Inputs of which another value changes the resource in place, as drift does.
    """

    identity: ClassVar[tuple[str, ...]] = ("name", "workspace")
    content: ClassVar[tuple[str, ...]] = ()

    def accept(self, news: Properties) -> Properties:
        """Validate inputs and return them completed; unknown values are `UNKNOWN`.

        Raises:
            InvalidInputError: Something is wrong with them.
        """
        return news

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Validate and complete the inputs; what is wrong fails here, in preview too."""
        inputs = own(news)
        try:
            return CheckResult(self.accept(inputs), [])
        except InvalidInputError as exc:
            # Without a property the engine does not print the whole value before the reason.
            return CheckResult(inputs, [CheckFailure("", str(exc))])

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Say what a change from the old outputs to the new inputs would do; does no I/O."""
        if drift := olds.get("drift"):
            log_of(news).info(f"drifted: {'; '.join(drift)}")
            return DiffResult(changes=True)
        replaces = changed(self.identity, olds, news)
        return DiffResult(changes=bool(replaces or changed(self.content, olds, news)), replaces=replaces)

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Compare, with unknown values in one form."""
        return self.compare(own(_olds), own(_news))

    def delete(self, _id: str, _props: Properties) -> None:
        """Keep everything: a workspace's history outlives the stacks that made it."""


def own(properties: Mapping[str, Any]) -> Properties:
    """The properties that are ours: without the provider's serialized self, unknown values as `UNKNOWN`."""
    return {name: _marked(value) for name, value in properties.items() if name != "__provider"}


def _marked(value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, Mapping):
        return {name: _marked(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_marked(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def known(value: Any) -> bool:
    """Whether preview knows the whole of a value."""
    if isinstance(value, Mapping):
        return all(known(item) for item in value.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return all(known(item) for item in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return value != UNKNOWN


def validated(model: type[Model], inputs: Mapping[str, Any], what: str) -> Model | None:
    """Build a spec from inputs.

    Args:
        model: The spec's class; only its fields are taken from the inputs.
        inputs: The inputs; None counts as left out.
        what: What is being described, for the error.

    Returns:
        The spec; None when it depends on something that preview does not know.

    Raises:
        InvalidInputError: A value is of a wrong type or out of range; names the first.
    """
    from pydantic import ValidationError

    values = {name: integral(inputs[name]) for name in model.model_fields if inputs.get(name) is not None}
    try:
        spec = model.model_validate(values)
    except ValidationError as exc:
        for problem in exc.errors():
            if problem["input"] != UNKNOWN:
                field = ".".join(str(part) for part in problem["loc"])
                reason = problem["msg"].removeprefix("Value error, ")
                shown = "" if problem["type"] in ("missing", "value_error") else f", not {problem['input']!r}"
                raise InvalidInputError(f"{what}: {field}: {reason}{shown}", field=field) from exc
        return None
    return spec if known(values) else None


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that state can hold: JSON has neither NaN nor infinity."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def workspace_of(properties: Mapping[str, Any]) -> Workspace:
    """Open the workspace that a resource lives in.

    Raises:
        NotFoundError: It is gone.
    """
    return Workspace.open(absolute(properties["workspace"]))


def absolute(path: str) -> Path:
    """A path as inputs hold it (relative to the project when inside it, so that checkouts can move) made absolute."""
    return project_root() / Path(path).expanduser()


def log_of(properties: Mapping[str, Any]) -> ResourceLog:
    """The resource's row in Pulumi's display."""
    return ResourceLog(str(properties.get("urn", "")))


def changed(names: tuple[str, ...], olds: Properties, news: Properties) -> list[str]:
    """Those of the named properties that differ."""
    return [name for name in names if integral(olds.get(name)) != integral(news.get(name))]


def gone_or(read: Callable[[], Properties], id_: str) -> ReadResult:
    """Read a resource; what is gone reads as nothing, which makes the engine create it again."""
    try:
        return ReadResult(id_, read())
    except NotFoundError:
        return ReadResult("", {})
