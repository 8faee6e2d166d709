"""A sweep of a script that needs no packages: it writes metrics as an MLflow client does."""

import pytest

from trainstack.core.compute.compute import ComputeSpec
from trainstack.core.sweeps.record import Search, SweepRequest

SCRIPT = """
import os, pathlib, sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rate, steps = float(arguments["--rate"]), int(arguments.get("--steps", 1))
run = pathlib.Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("file://"), "0", "aa")
(run / "metrics").mkdir(parents=True, exist_ok=True)
(run / "meta.yaml").touch()
with pathlib.Path("outputs/started").open("a") as started:
    started.write("x")
if "--fail" in arguments:
    sys.exit("no such layer")
ends = arguments.get("--ends", "")
if ends.startswith("fail"):
    sys.exit("out of luck")
for step in range(1, steps + 1):
    with (run / "metrics" / "score").open("a") as file:
        file.write(f"{int(time.time() * 1000)} {ends or 1 - (rate - 0.3) ** 2 + step / 1000} {step}\\n")
    time.sleep(float(arguments.get("--pause", 0)))
"""


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def sweep_for(request_for, source):
    """Makes a sweep's request: its space, the arguments that all trials have, and how to search."""

    def make(space, fixed=None, nodes=2, **how):
        search = Search.model_validate({"space": {"parameters": space}, "metric": "score", **how})
        run = request_for(fixed or {}, compute=ComputeSpec(name="local", max_nodes=nodes))
        return SweepRequest(name="tune", search=search, run=run, source=str(source))

    return make
