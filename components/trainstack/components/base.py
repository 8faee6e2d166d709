"""What all our components share: their token, their one dynamic child, and errors of one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

from trainstack.core.workspace.project import portable, project_root
from trainstack.errors import TrainstackError


class BaseResource(Resource):
    """A dynamic resource whose provider knows the row it reports to.

    Attributes:
        outputs: Names of what the provider adds to the inputs.
    """

    outputs: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, provider: ResourceProvider, name: str, props: Mapping[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        urn = pulumi.create_urn(name, f"pulumi-python:{self._resource_type_name}", _urn_alone(opts.parent))
        super().__init__(provider, name, {**props, "urn": urn, **dict.fromkeys(self.outputs)}, opts)


def _urn_alone(parent: pulumi.Resource | None) -> pulumi.Output[str] | None:
    """A parent's URN without depending on the parent, which waits for its children."""
    if parent is None:
        return None
    urn: Any = parent.urn.future()
    return pulumi.Output(set(), urn, parent.urn.is_known())


class Component(pulumi.ComponentResource):
    """A component of ours; `kind` is the last part of its token."""

    kind: ClassVar[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(f"trainstack:index:{self.kind}", name, None, opts)

    def _child_options(self, depends_on: Sequence[pulumi.Resource | None] = ()) -> pulumi.ResourceOptions:
        """Options of the dynamic child: below this component, after the components it builds on."""
        return pulumi.ResourceOptions(parent=self, depends_on=[it for it in depends_on if it is not None])


@contextlib.contextmanager
def program_errors(what: str) -> Generator[None]:
    """Show an error of ours as one line: Pulumi prints a `RunError` without the program's trace.

    Args:
        what: The component that is being declared.
    """
    try:
        yield
    except TrainstackError as exc:
        raise pulumi.RunError(f"{what}: {exc}") from exc


def portable_path(path: pulumi.Input[str]) -> pulumi.Output[str]:
    """A path that a program gives (relative to its folder) as inputs hold it (relative to the project)."""
    here = Path.cwd()
    return pulumi.Output.from_input(path).apply(lambda given: portable(here / Path(given).expanduser(), project_root()))


def absolute_path(path: pulumi.Output[str]) -> pulumi.Output[str]:
    """A path as outputs hold it made absolute on this machine."""
    return path.apply(lambda given: str(project_root() / given))


def _quiet_interrupt(kind: type[BaseException], error: BaseException, trace: TracebackType | None, /) -> None:
    """Say nothing when the engine interrupts the program: it has shown already what went wrong."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


if any(Path(word).name == "pulumi-language-python-exec" for word in sys.orig_argv):
    sys.excepthook = _quiet_interrupt
