"""What all providers share: Pulumi's verbs, inputs checked by pydantic, unknown values, and paths."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown
from pulumi.runtime.rpc import UNKNOWN

from trainstack.core.properties import as_list, as_mapping, integral, resource_fields
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.store_cache import local_path
from trainstack.core.workspace.workspace import Workspace
from trainstack.errors import InvalidInputError, NotFoundError, WorkspaceNotFoundError
from trainstack.provider.cancellation import watch_cancellation
from trainstack.provider.engine_watch import end_with_engine
from trainstack.provider.resource_log import ResourceLog, one_line_errors
from trainstack.storage.object_store.address import address_in

if TYPE_CHECKING:
    from pydantic import BaseModel

one_line_errors()
watch_cancellation()
end_with_engine()

Properties = dict[str, Any]
"""A resource's inputs or outputs, as Pulumi passes them."""
Model = TypeVar("Model", bound="BaseModel")


class BaseProvider(ResourceProvider):
    """Pulumi's verbs over the core.

    A subclass describes its inputs by a model, completes them in `accept`, and does its work in `apply` and `refresh`.
    A resource whose verbs differ more than that overrides the verb.

    Attributes:
        identity: Inputs of which another value is another resource.
        content: Inputs of which another value changes the resource in place, as drift does.
    """

    identity: ClassVar[tuple[str, ...]] = ("name", "workspace")
    content: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, inputs: type[BaseModel] | None = None) -> None:
        super().__init_subclass__()
        if inputs is not None:
            fields = resource_fields(inputs)
            cls.identity = tuple(name for name, field in fields.items() if field.change == "replace")
            cls.content = tuple(name for name, field in fields.items() if field.change == "update")

    def accept(self, news: Properties) -> Properties:
        """Validate inputs and return them completed; unknown values are `UNKNOWN`.

        Raises:
            InvalidInputError: An input is not valid.
        """
        return news

    def known_outputs(self, inputs: Properties) -> Properties:
        """The outputs that the next update will give, as far as they are known before it.

        `check` adds them to the inputs: the engine shows inputs as outputs of whatever an update touches, so that
        preview knows what becomes of the resources that depend on this one.

        Args:
            inputs: The inputs that `accept` has completed.
        """
        return {}

    def apply(self, inputs: Properties, olds: Properties | None) -> Properties:
        """Create or update the resource.

        Args:
            inputs: The checked inputs; all of them are known.
            olds: The outputs so far; None when the resource is created.

        Returns:
            Its outputs.
        """
        raise TypeError(f"{type(self).__name__} implements neither apply nor create and update")

    def refresh(self, properties: Properties) -> Properties:
        """Look at the resource as it is now.

        Returns:
            The outputs that may have changed, `drift` among them: a sentence for each difference.

        Raises:
            NotFoundError: It is gone; the next update creates it again.
        """
        return {}

    def resource_id(self, outputs: Properties) -> str:
        """The resource's id in Pulumi's state."""
        return str(outputs["name"])

    def compare(self, olds: Properties, news: Properties) -> DiffResult:
        """Compare the old outputs with the new inputs; asks nobody, so that a preview is quick."""
        if drift := olds.get("drift"):
            log_of(news).info(f"drifted: {'; '.join(drift)}")
            return DiffResult(changes=True)
        replaces = changed(self.identity, olds, news)
        return DiffResult(changes=bool(replaces or changed(self.content, olds, news)), replaces=replaces)

    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Validate and complete the inputs; an invalid one fails here, in preview too."""
        inputs = own(news)
        try:
            accepted = self.accept(inputs)
            return CheckResult({**accepted, **self.known_outputs(accepted)}, [])
        except InvalidInputError as exc:
            # Without a property the engine does not print the whole value before the reason.
            return CheckResult(inputs, [CheckFailure("", str(exc))])

    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Compare the state with new inputs."""
        return self.compare(own(_olds), own(_news))

    def lease(self, properties: Properties) -> str:
        """The lease under which a verb changes a workspace in an object store.

        Args:
            properties: The resource's inputs.
        """
        return "records"

    @contextlib.contextmanager
    def changing(self, properties: Properties) -> Generator[None]:
        """Let a verb act: nobody else changes the same in an object store, which has what was made at the end."""
        root = str(properties.get("workspace", ""))
        if not address_in(Path(root)):
            yield
            return
        with self.changing_shared(opened(root), own(properties)):
            yield

    def creating(self, properties: Properties) -> AbstractContextManager[None]:
        """Let `create` act, as `changing` does for every verb."""
        return self.changing(properties)

    def changing_shared(self, workspace: Workspace, properties: Properties) -> AbstractContextManager[None]:
        """Let a verb act on a workspace in an object store, of which this machine has a copy."""
        from trainstack.core.replication import shared

        log = log_of(properties)
        return shared.updating(workspace, self.lease(properties), lambda owner: log.progress(f"waits for {owner}"))

    def create(self, props: Properties) -> CreateResult:
        """Create the resource."""
        outputs = with_workspace_id(self.apply(own(props), None))
        return CreateResult(self.resource_id(outputs), outputs)

    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Update the resource in place."""
        return UpdateResult(with_workspace_id(self.apply(own(_news), own(_olds))))

    def read(self, id_: str, props: Properties) -> ReadResult:
        """Read the resource as it is now; what is gone reads as nothing, which makes the engine create it again.

        Where the workspace is not here, nothing can be said of what is in it: it stays as it is, and the workspace's
        own resource fails.
        """
        properties = own(props)
        try:
            return ReadResult(id_, {**properties, **self.refresh(properties)})
        except NotFoundError:
            return ReadResult("", {})
        except WorkspaceNotFoundError:
            log_of(properties).progress("not looked at: its workspace is not here")
            return ReadResult(id_, properties)

    def delete(self, _id: str, _props: Properties) -> None:
        """Keep everything: a workspace's history outlives the stacks that made it."""


def own(properties: Mapping[str, Any]) -> Properties:
    """The properties without the serialized provider, unknown values as `UNKNOWN`."""
    return {name: _with_unknowns(value) for name, value in properties.items() if name != "__provider"}


def _with_unknowns(value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNKNOWN
    if (mapping := as_mapping(value)) is not None:
        return {name: _with_unknowns(item) for name, item in mapping.items()}
    if (items := as_list(value)) is not None:
        return [_with_unknowns(item) for item in items]
    return value


def known(value: Any) -> bool:
    """Whether preview knows a value, and everything in it."""
    if (mapping := as_mapping(value)) is not None:
        return all(known(item) for item in mapping.values())
    if (items := as_list(value)) is not None:
        return all(known(item) for item in items)
    return value != UNKNOWN


def validated(model: type[Model], inputs: Mapping[str, Any], resource: str) -> Model | None:
    """Build a spec from inputs.

    Args:
        model: The spec's class; only its fields are taken from the inputs.
        inputs: The inputs; None counts as left out.
        resource: What the inputs are of, for the error.

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
                value = "" if problem["type"] in ("missing", "value_error") else f", not {problem['input']!r}"
                raise InvalidInputError(f"{resource}: {field}: {reason}{value}", field=field) from exc
        return None
    return spec if known(values) else None


def parsed(model: type[Model], inputs: Mapping[str, Any], resource: str) -> Model:
    """Build a spec from inputs that are all known; see `validated`.

    Raises:
        InvalidInputError: A value is of a wrong type, out of range, or not known.
    """
    spec = validated(model, inputs, resource)
    if spec is None:
        raise InvalidInputError(f"{resource}: an input is not known")
    return spec


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that state can hold: JSON has neither NaN nor infinity."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def workspace_of(properties: Mapping[str, Any]) -> Workspace:
    """Open the workspace that a resource lives in.

    Raises:
        WorkspaceNotFoundError: It is not here, or another one is in its place.
    """
    workspace = opened(properties["workspace"])
    if properties.get("workspace_id", workspace.id) != workspace.id:
        raise WorkspaceNotFoundError(f"{workspace.root} is another workspace than the one it is in")
    return workspace


def opened(root: str) -> Workspace:
    """Open the workspace at a folder or an address; one in an object store is pulled first.

    Args:
        root: As inputs hold it.

    Raises:
        WorkspaceNotFoundError: It is not there.
    """
    if not address_in(Path(root)):
        return Workspace.open(absolute(root))
    # Loaded here: only those who have a bucket wait for its library.
    from trainstack.core.replication import shared

    return shared.opened(Path(root))


def with_workspace_id(outputs: Properties) -> Properties:
    """Outputs of a resource with the id of the workspace that it lives in, which tells it from others at its path."""
    return {**outputs, "workspace_id": workspace_of(outputs).id} if "workspace" in outputs else outputs


def absolute(path: str) -> Path:
    """A path as inputs hold it (relative to the project when inside it, so that checkouts can move) made absolute."""
    return local_path(path, project_root())


def log_of(properties: Mapping[str, Any]) -> ResourceLog:
    """The log of a resource, in its row of Pulumi's display."""
    return ResourceLog(str(properties.get("urn", "")))


def changed(names: Iterable[str], olds: Properties, news: Properties) -> list[str]:
    """The names of the properties that differ."""
    return [name for name in names if integral(olds.get(name)) != integral(news.get(name))]
