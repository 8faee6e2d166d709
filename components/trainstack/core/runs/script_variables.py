"""Which environment variables a script cannot be given, because Trainstack sets them itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from trainstack.agent.distribution import Distribution, Horovod, TensorFlow
from trainstack.agent.strategies.horovod_variables import launch_variables, tuning_variables
from trainstack.errors import InvalidInputError
from trainstack.mlflow import metric_files

_OWN = "TRAINSTACK_"
_CLIENT = frozenset(metric_files.variables(PurePosixPath("/")))
_CLUSTER = "TF_CONFIG"


def check(names: Iterable[str], distribution: Distribution | None) -> None:
    """Refuse variables whose values would not reach the script.

    Args:
        names: Names of the variables that the run and its environment declare.
        distribution: Its distribution; none while that is not known.

    Raises:
        InvalidInputError: One is set by Trainstack; says what to declare instead.
    """
    for name in sorted(names):
        if name in _CLIENT:
            advice = "for another MLflow server give `tracking_uri` of the workspace, which gets what the script logs"
        elif name == _CLUSTER and isinstance(distribution, TensorFlow):
            advice = "`distribution` says what is in it"
        elif isinstance(distribution, Horovod) and name in tuning_variables(distribution, ""):
            advice = "an option of `distribution` gives it already: leave out one of the two"
        elif isinstance(distribution, Horovod) and name in launch_variables(distribution):
            advice = "each rank of `distribution` gets its own"
        elif name.startswith(_OWN):
            advice = f"take a name that does not begin with {_OWN}"
        else:
            continue
        raise InvalidInputError(f"variable {name} is set by Trainstack: {advice}", field="environment_variables")
