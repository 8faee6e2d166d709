"""Word vectors of an English dictionary: skip-gram with noise-contrastive estimation, on two Horovod ranks.

Run `python programs/word2vec/fetch_text.py` once before: it gets the text. Settings (`pulumi config set …`): `steps`,
`learning-rate` and `vocabulary-size` tune the training.
"""

from pathlib import Path

import pulumi

import trainstack as ts

TEXT = "data/gcide.dict"
DIGEST = "802beb667e1fb666203e750f1faea60d5c202ac5430c2083c4180494609f10a7"

if not Path(TEXT).is_file():
    raise pulumi.RunError("the text is missing: run `python programs/word2vec/fetch_text.py` first")

config = pulumi.Config()
# The stack says where: stacks/Pulumi.local.yaml on this machine, stacks/Pulumi.docker.yaml in containers, and so on.
stack = pulumi.Config("trainstack")
workspace = ts.Workspace("word2vec", ts.WorkspaceArgs(registry=stack.get("registry")))
# The machine shared evenly by two nodes, each a process group or a container of its own.
cluster = ts.Compute(
    "cpu-cluster",
    ts.ComputeArgs(
        workspace=workspace, target=stack.get("target") or "local", vm_size=stack.get("vm-size"), max_nodes=2
    ),
)
text = ts.Dataset(
    "dictionary",
    ts.DatasetArgs(
        workspace=workspace,
        paths=[TEXT],
        sha256={"gcide.dict": DIGEST},
        description="The GNU Collaborative International Dictionary of English 0.48, as Debian's dict-gcide has it",
        tags={"licence": "GPL-2.0-or-later"},
    ),
)
tensorflow = ts.Environment("tensorflow", ts.EnvironmentArgs.curated("tensorflow-2.15-horovod", compute=cluster))
run = ts.TrainingRun(
    "word2vec",
    ts.TrainingRunArgs(
        source_directory="scripts",
        script="tf_word2vec_horovod.py",
        arguments={
            "--data-folder": text.as_mount(),
            "--vocabulary-size": config.get_int("vocabulary-size") or 15000,
            "--learning-rate": config.get_float("learning-rate") or 0.2,
            "--steps": config.get_int("steps") or 2800,
        },
        compute=cluster,
        environment=tensorflow,
        distribution=ts.Horovod(node_count=2),
    ),
)
model = ts.Model(
    "word-vectors",
    ts.ModelArgs(
        run=run,
        path="outputs/model",
        framework_version="2.15",
        description="A row of length 1 a word in embeddings.npy, in the order of vocabulary.json",
        tags={"data": "gcide"},
    ),
)

pulumi.export("loss", run.metrics["loss"])
pulumi.export("same_kind", run.metrics["same_kind"])
pulumi.export("run_id", run.run_id)
pulumi.export("path", run.path)
pulumi.export("model", model.summary)
