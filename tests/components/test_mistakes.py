"""Mistakes of a program that end in one line, which says what to write."""

# Mistakes are what is tested here.
# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false

import pulumi
import pytest

import trainstack as ts


@pytest.fixture
def run_of(recorder):
    """Declares a run with what is given, of a dataset `numbers`."""

    def declare(**values):
        @pulumi.runtime.test
        def program():
            workspace = ts.Workspace("ws")
            data = ts.Dataset("numbers", ts.DatasetArgs(workspace=workspace, paths=["numbers.txt"]))
            settings = {
                "source_directory": "scripts",
                "script": "train.py",
                "compute": ts.Compute("nodes", ts.ComputeArgs(workspace=workspace)),
                "environment": ts.Environment("tiny", ts.EnvironmentArgs(packages=["six==1.17.0"])),
            }
            settings |= {name: value(data) if callable(value) else value for name, value in values.items()}
            ts.TrainingRun("fit", ts.TrainingRunArgs(**settings))

        program()

    return declare


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"compute": "local"}, r"TrainingRunArgs\(compute=…\) takes a ts\.Compute, not text"),
        ({"environment": "tf"}, r"TrainingRunArgs\(environment=…\) takes a ts\.Environment, not text"),
        ({"environment": lambda data: data}, r"takes a ts\.Environment, not a Dataset"),
        ({"distribution": "horovod"}, r"takes a ts\.Horovod or a ts\.TensorFlow, not text"),
        ({"argments": {}}, r"TrainingRunArgs has no argument 'argments': did you mean 'arguments'\?"),
        ({"environment_variables": ["A=1"]}, r"takes a mapping, \{'NAME': value\}, not a list"),
        ({"arguments": "--a 1"}, r"TrainingRunArgs\(arguments=…\) takes a mapping, .* or a list, .*, not text"),
        ({"arguments": lambda data: {"--data": data}}, r"run fit: argument --data is a dataset itself: write as_mount"),
        ({"arguments": lambda data: {"--data": data.as_mount}}, r"the method as_mount itself: write as_mount\(\)"),
        ({"arguments": lambda data: {"--ws": data.workspace}}, r"argument --ws is a Workspace itself: give one of its"),
        ({"arguments": lambda data: {"--data": f"{data.as_mount()}/a"}}, r"dataset numbers stands in a text: give it"),
    ],
)
def test_a_run_with_a_mistake_says_what_to_write(run_of, values, message):
    with pytest.raises(pulumi.RunError, match=message):
        run_of(**values)


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: ts.DatasetArgs(workspace="w"), r"DatasetArgs\(workspace=…\) takes a ts\.Workspace, not text"),
        (lambda: ts.DatasetArgs(paths=["a"]), r"DatasetArgs needs workspace: write DatasetArgs\(workspace=…\)"),
        (lambda: ts.EnvironmentArgs(packages="six"), r"EnvironmentArgs\(packages=…\) takes a list, \[value, …\], not"),
        (lambda: ts.EnvironmentArgs(["six"]), r"EnvironmentArgs takes named arguments alone"),
        (lambda: ts.ModelArgs(path="m", run="fit"), r"takes a ts\.TrainingRun or a ts\.Sweep, not text"),
        (lambda: ts.WebServiceArgs(model="m"), r"WebServiceArgs\(model=…\) takes a ts\.Model, not text"),
        (lambda: ts.Horovod(node_cont=2), r"Horovod has no argument 'node_cont': did you mean 'node_count'\?"),
        (lambda: ts.TrainingRun("a", {"script": "b"}), r"TrainingRun's args takes a ts\.TrainingRunArgs, not a dict"),
        (lambda: ts.TrainingRun("a", script="b"), r"write TrainingRun\('NAME', ts\.TrainingRunArgs\(script=…\)\)"),
        (lambda: ts.Workspace(ts.WorkspaceArgs()), r"Workspace's name takes text, not a WorkspaceArgs"),
    ],
)
def test_a_declaration_with_a_mistake_says_what_to_write(declare, message):
    with pytest.raises(pulumi.RunError, match=message):
        declare()


def test_a_secret_in_the_wrong_place_is_not_said():
    with pytest.raises(pulumi.RunError) as caught:
        ts.DatasetArgs(workspace="hush")
    assert "hush" not in str(caught.value)


def test_a_misspelt_name_is_told_the_nearest():
    with pytest.raises(AttributeError, match=r"did you mean 'TrainingRun'\?"):
        ts.TrainigRun  # noqa: B018


def test_dir_lists_the_public_names():
    assert {"Workspace", "TrainingRunArgs", "choice"} <= set(dir(ts))
    assert "annotations" not in dir(ts)
