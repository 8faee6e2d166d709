"""What all components share: their type token, the inputs of their one dynamic child, and errors of one line."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, cast

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

from trainstack.components.declaration import checked_component
from trainstack.core.properties import exact
from trainstack.core.workspace.project import project_root
from trainstack.core.workspace.store_cache import local_path, stored_path
from trainstack.errors import TrainstackError


class BaseResource(Resource):
    """A dynamic resource whose provider knows its URN, and so where its log goes.

    What a subclass annotates are the properties that its provider adds to the inputs.
    """

    def __init__(
        self, provider: ResourceProvider, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        urn = pulumi.create_urn(name, f"pulumi-python:{self._resource_type_name}", _urn_alone(opts.parent))
        super().__init__(provider, name, {**dict.fromkeys(type(self).__annotations__), **props, "urn": urn}, opts)


def _urn_alone(parent: pulumi.Resource | None) -> pulumi.Output[str] | None:
    """A parent's URN without depending on the parent, which waits for its children."""
    if parent is None:
        return None
    urn: Any = parent.urn.future()
    return pulumi.Output(set(), urn, parent.urn.is_known())


class Component(pulumi.ComponentResource):
    """A component of this package; `kind` is the last part of its type token."""

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in vars(cls):
            cls.__init__ = checked_component(cls.__init__)

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(f"trainstack:index:{self.kind}", name, None, opts)

    def _child_options(self, depends_on: Sequence[pulumi.Resource | None] = ()) -> pulumi.ResourceOptions:
        """Options of the dynamic child: below this component, after the components it builds on."""
        return pulumi.ResourceOptions(parent=self, depends_on=list(filter(None, depends_on)))


def exactly(value: Any) -> Any:
    """An input of a script whose digits all arrive; see `exact`."""
    return value.apply(exact) if isinstance(value, pulumi.Output) else exact(value)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def not_secret(value: Any, refusal: str) -> Any:
    """An input that is kept and shown in clear; declaring fails where it is a secret.

    Args:
        value: The input.
        refusal: The error's one line, without the value.
    """
    if not isinstance(value, pulumi.Output):
        return value
    output = cast("pulumi.Output[Any]", value)

    async def checked() -> Any:
        if await output.is_secret():
            raise pulumi.RunError(refusal)
        return await output.future(with_unknowns=True)

    # As a task, because nobody waits for it where the check fails.
    return pulumi.Output(output.resources(), checked(), asyncio.ensure_future(output.is_known()))


def in_clear(subject: str, inputs: Mapping[str, Any], *, secret: Collection[str] = ()) -> dict[str, Any]:
    """Inputs that are kept and shown in clear; declaring fails where one is a secret, or holds one.

    Args:
        subject: The resource, for the error.
        inputs: The inputs by name.
        secret: Names of those that may be secrets.
    """

    def checked(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            members = cast("Mapping[Any, Any]", value).items()
            return {key: checked(name, member) for key, member in members}
        if isinstance(value, list | tuple):
            return [checked(name, member) for member in cast("Sequence[Any]", value)]
        return not_secret(value, f"{subject}: {name} is a secret, and this would be kept and shown in clear")

    return {name: value if name in secret else checked(name, value) for name, value in inputs.items()}


def resource_inputs(args: Any, *, omit: Collection[str] = (), **replaced: Any) -> dict[str, Any]:
    """The inputs of a resource that a component's arguments stand for: each field under its own name.

    Args:
        args: The arguments, a dataclass.
        omit: Fields that are no inputs of the resource.
        replaced: Inputs that take the place of a field, or come besides.
    """
    names = [field.name for field in fields(args) if field.name not in omit and field.name not in replaced]
    return {**{name: _plain(getattr(args, name)) for name in names}, **replaced}


def _plain(value: Any) -> Any:
    """A value of an argument as Pulumi takes it."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if isinstance(value, list | tuple):
        return list(cast("Sequence[Any]", value))
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


@contextlib.contextmanager
def program_errors(component: str) -> Generator[None]:
    """Show a Trainstack error as one line: Pulumi prints a `RunError` without the program's trace.

    Args:
        component: The component that is being declared.
    """
    try:
        yield
    except TrainstackError as exc:
        raise pulumi.RunError(f"{component}: {exc}") from exc


def portable_path(path: pulumi.Input[str]) -> pulumi.Output[str]:
    """A path that a program gives (relative to its folder) as inputs hold it (relative to the project)."""
    folder = Path.cwd()
    return pulumi.Output.from_input(path).apply(
        lambda value: stored_path(folder / Path(value).expanduser(), project_root())
    )


def absolute_path(path: pulumi.Output[str]) -> pulumi.Output[str]:
    """A path as outputs hold it made absolute on this machine."""
    return path.apply(lambda value: str(local_path(value, project_root())))


def _quiet_interrupt(kind: type[BaseException], error: BaseException, trace: TracebackType | None, /) -> None:
    """Print nothing when the engine interrupts the program: the engine has already shown the reason."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


if any(Path(argument).name == "pulumi-language-python-exec" for argument in sys.orig_argv):
    sys.excepthook = _quiet_interrupt
