"""${DESCRIPTION}

`pulumi preview` says what would retrain and why; `pulumi up` trains, registers and serves. A stack with the setting
`promote-from` (such as `organization/${PROJECT}/dev`) trains nothing: it serves the model that the other stack made.
"""

import pulumi

import trainstack as ts

config = pulumi.Config()
workspace = ts.Workspace(f"{pulumi.get_project()}-{pulumi.get_stack()}")

if source := config.get("promote-from"):
    other = pulumi.StackReference(source)
    model = ts.Model.promote("line", workspace, other.require_output("model"))
else:
    cluster = ts.Compute("local", ts.ComputeArgs(workspace=workspace, max_nodes=1))
    points = ts.Dataset("points", ts.DatasetArgs(workspace=workspace, paths=["data/*.csv"]))
    tensorflow = ts.Environment("tensorflow", ts.EnvironmentArgs.curated("tensorflow-2.15"))
    run = ts.TrainingRun(
        "fit",
        ts.TrainingRunArgs(
            source_directory="scripts",
            script="train.py",
            arguments={"--data": points.as_mount(), "--epochs": config.get_int("epochs") or 20},
            compute=cluster,
            environment=tensorflow,
            timeout=3600,
        ),
    )
    model = ts.Model(
        "line",
        ts.ModelArgs(run=run, path="outputs/model", sample_input={"instances": [[0.5]]}),
    )
    pulumi.export("metrics", run.metrics)

service = ts.WebService("line", ts.WebServiceArgs(model=model))

pulumi.export("model", model.summary)
pulumi.export("scoring_uri", service.scoring_uri)
