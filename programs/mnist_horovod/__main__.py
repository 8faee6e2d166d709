"""MNIST on two Horovod ranks, a node each: gradients are reduced between them after every step.

Settings (`pulumi config set …`): `mnist-base-url` names the folder with the four files, `epochs` and `learning-rate`
tune the training.
"""

import os

import pulumi

import trainstack as ts

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
# Public mirrors of the four original files, tried in this order.
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)

config = pulumi.Config()
# The stack says where: stacks/Pulumi.local.yaml on this machine, stacks/Pulumi.docker.yaml in containers, and so on.
stack = pulumi.Config("trainstack")
engine = stack.get("engine")
override = config.get("mnist-base-url") or os.environ.get("MNIST_BASE_URL")
bases = [f"{override.rstrip('/')}/"] if override else MIRRORS

workspace = ts.Workspace(
    "mnist-horovod",
    # In an object store, where `trainstack:root` is an address: pods on a cluster then read from it and write to it.
    ts.WorkspaceArgs(registry=stack.get("registry"), root=stack.get("root")),
)
# The machine shared evenly by two nodes, each a process group or a container of its own.
cluster = ts.Compute(
    "cpu-cluster",
    ts.ComputeArgs(
        workspace=workspace,
        target=stack.get("target") or "local",
        # `pulumi config set trainstack:engine mpijob` has the cluster's MPI operator run it.
        kubernetes=ts.KubernetesArgs(engine=engine) if engine else None,
        vm_size=stack.get("vm-size"),
        max_nodes=2,
    ),
)
mnist = ts.Dataset(
    "mnist",
    ts.DatasetArgs(
        workspace=workspace,
        urls=[[f"{base}{name}" for base in bases] for name in FILES],
        description="The four original MNIST files (set MNIST_BASE_URL or mnist-base-url when no mirror answers)",
        tags={"task": "digits"},
    ),
)
tensorflow = ts.Environment("tensorflow", ts.EnvironmentArgs.curated("tensorflow-2.15-horovod", compute=cluster))
run = ts.TrainingRun(
    "mnist-horovod",
    ts.TrainingRunArgs(
        source_directory="scripts",
        script="tf_mnist_horovod.py",
        arguments={
            "--data-folder": mnist.as_mount(),
            "--batch-size": 128,
            "--first-layer-neurons": 256,
            "--second-layer-neurons": 128,
            "--learning-rate": config.get_float("learning-rate") or 0.02,
            "--epochs": config.get_int("epochs") or 8,
        },
        compute=cluster,
        environment=tensorflow,
        distribution=ts.Horovod(node_count=2),
    ),
)
model = ts.Model(
    "tf-dnn-mnist-horovod",
    ts.ModelArgs(
        run=run,
        path="outputs/model",
        framework_version="2.15",
        sample_input={"instances": [[0.0] * 784]},
        tags={"data": "mnist"},
    ),
)

pulumi.export("accuracy", run.metrics["accuracy"])
pulumi.export("run_id", run.run_id)
pulumi.export("path", run.path)
pulumi.export("model", model.summary)
