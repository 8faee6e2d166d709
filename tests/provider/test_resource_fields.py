"""Each resource is described once: arguments, inputs, outputs and their documentation name the same fields."""

import dataclasses
import inspect
import re
from typing import Any

import pytest

from trainstack.components import dataset, environment, model, workspace
from trainstack.core.datasets.spec import DatasetInputs, DatasetOutputs
from trainstack.core.environments.environment import EnvironmentDescription
from trainstack.core.models.model_record import ModelInputs, ModelOutputs
from trainstack.core.properties import resource_fields
from trainstack.provider.adopted import AdoptedDatasetProvider, AdoptedInputs
from trainstack.provider.dataset import DatasetProvider
from trainstack.provider.environment import EnvironmentInputs, EnvironmentOutputs, EnvironmentProvider
from trainstack.provider.model import ModelProvider
from trainstack.provider.workspace import WorkspaceInputs, WorkspaceProvider


def names(args: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(args)}


def from_check(inputs: Any) -> set[str]:
    return {name for name, field in resource_fields(inputs).items() if field.source == "check"}


def documented(described: Any) -> set[str]:
    """The fields that the docstrings of a class and its bases describe."""
    text = "\n".join(
        inspect.getdoc(base) or "" for base in described.__mro__ if base.__module__.startswith("trainstack")
    )
    sections = re.findall(r"^Attributes:\n((?:    .*\n?|\n)*)", text, re.MULTILINE)
    return {match for section in sections for match in re.findall(r"^    (\w+):", section, re.MULTILINE)}


@pytest.mark.parametrize(
    ("args", "inputs", "renamed", "elsewhere"),
    [
        (dataset.DatasetArgs, DatasetInputs, {}, set()),
        (model.ModelArgs, ModelInputs, {"run": "run_id"}, set()),
        (environment.EnvironmentArgs, EnvironmentDescription, {"curated_name": "curated"}, {"compute"}),
        # How images are built goes to the resources that build them, sizes to computes.
        (workspace.WorkspaceArgs, WorkspaceInputs, {}, {"registry", "base_image", "sizes"}),
    ],
)
def test_each_argument_is_an_input(args: type, inputs: Any, renamed: dict[str, str], elsewhere: set[str]) -> None:
    from_program = {renamed.get(name, name) for name in names(args) - elsewhere}
    # The name is the resource's own, the pins the stack's; datastores come with the paths in them.
    assert set(inputs.model_fields) - from_check(inputs) - {"name", "pins", "datastores"} == from_program


@pytest.mark.parametrize(
    ("resource", "inputs", "outputs"),
    [
        (dataset._Resource, DatasetInputs, DatasetOutputs),
        (model._Resource, ModelInputs, ModelOutputs),
        (environment._Resource, EnvironmentInputs, EnvironmentOutputs),
    ],
)
def test_each_output_is_declared(resource: type, inputs: Any, outputs: Any) -> None:
    assert set(resource.__annotations__) == (set(outputs.model_fields) - {"drift"}) | from_check(inputs)


@pytest.mark.parametrize(
    "described",
    [
        dataset.DatasetArgs,
        environment.EnvironmentArgs,
        model.ModelArgs,
        workspace.WorkspaceArgs,
        AdoptedInputs,
        DatasetInputs,
        DatasetOutputs,
        EnvironmentDescription,
        EnvironmentInputs,
        EnvironmentOutputs,
        ModelInputs,
        ModelOutputs,
        WorkspaceInputs,
    ],
)
def test_each_field_is_documented(described: Any) -> None:
    fields = names(described) if dataclasses.is_dataclass(described) else set(described.model_fields)
    assert fields <= documented(described)


def test_what_a_change_does_follows_from_the_fields() -> None:
    assert DatasetProvider.identity == ("name", "workspace")
    assert set(DatasetProvider.content) == set(DatasetInputs.model_fields) - {"name", "workspace", "create_new_version"}
    assert ModelProvider.identity == ("name", "workspace")
    assert set(ModelProvider.content) == set(ModelInputs.model_fields) - {"name", "workspace"}
    assert EnvironmentProvider.identity == ()
    assert EnvironmentProvider.content == ("spec", "digest", "packages", "files")
    assert WorkspaceProvider.identity == ("name", "root")
    assert WorkspaceProvider.content == ("quota_gib", "tracking_uri", "tracking")
    assert AdoptedDatasetProvider.content == ("version", "digest")
