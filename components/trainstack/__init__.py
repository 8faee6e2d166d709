"""Trainstack: TensorFlow training as infrastructure.

```python
import trainstack as ts
```

Names are loaded when they are first used, so that the command line and the supervisor do not pay for Pulumi.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainstack.components.compute import Compute, ComputeArgs
    from trainstack.components.dataset import Dataset, DatasetArgs, DatasetReference
    from trainstack.components.distribution import Horovod, MpiConfiguration, TensorFlow, TensorflowConfiguration
    from trainstack.components.environment import Environment, EnvironmentArgs
    from trainstack.components.kubernetes.args import KubernetesArgs, KubernetesClaim, KubernetesVolume
    from trainstack.components.kubernetes.tracking_args import ClusterTracking
    from trainstack.components.model import Model, ModelArgs, ResourceConfiguration
    from trainstack.components.sweep import Parameter, Sweep, SweepArgs, choice, integer, log_uniform, uniform
    from trainstack.components.training_run import TrainingRun, TrainingRunArgs
    from trainstack.components.web_service import KubernetesServiceArgs, WebService, WebServiceArgs
    from trainstack.components.workspace import Registry, Workspace, WorkspaceArgs
    from trainstack.errors import TrainstackError
    from trainstack.notebook.history import History

__all__ = [
    "ClusterTracking",
    "Compute",
    "ComputeArgs",
    "Dataset",
    "DatasetArgs",
    "DatasetReference",
    "Environment",
    "EnvironmentArgs",
    "History",
    "Horovod",
    "KubernetesArgs",
    "KubernetesClaim",
    "KubernetesServiceArgs",
    "KubernetesVolume",
    "Model",
    "ModelArgs",
    "MpiConfiguration",
    "Parameter",
    "Registry",
    "ResourceConfiguration",
    "Sweep",
    "SweepArgs",
    "TensorFlow",
    "TensorflowConfiguration",
    "TrainingRun",
    "TrainingRunArgs",
    "TrainstackError",
    "WebService",
    "WebServiceArgs",
    "Workspace",
    "WorkspaceArgs",
    "choice",
    "integer",
    "log_uniform",
    "uniform",
]

_HOMES = {
    "ClusterTracking": "components.kubernetes.tracking_args",
    "Compute": "components.compute",
    "ComputeArgs": "components.compute",
    "Dataset": "components.dataset",
    "DatasetArgs": "components.dataset",
    "DatasetReference": "components.dataset",
    "Environment": "components.environment",
    "EnvironmentArgs": "components.environment",
    "History": "notebook.history",
    "Horovod": "components.distribution",
    "KubernetesArgs": "components.kubernetes.args",
    "KubernetesClaim": "components.kubernetes.args",
    "KubernetesServiceArgs": "components.web_service",
    "KubernetesVolume": "components.kubernetes.args",
    "Model": "components.model",
    "ModelArgs": "components.model",
    "MpiConfiguration": "components.distribution",
    "Parameter": "components.sweep",
    "Registry": "components.workspace",
    "ResourceConfiguration": "components.model",
    "Sweep": "components.sweep",
    "SweepArgs": "components.sweep",
    "TensorFlow": "components.distribution",
    "TensorflowConfiguration": "components.distribution",
    "TrainingRun": "components.training_run",
    "TrainingRunArgs": "components.training_run",
    "TrainstackError": "errors",
    "WebService": "components.web_service",
    "WebServiceArgs": "components.web_service",
    "Workspace": "components.workspace",
    "WorkspaceArgs": "components.workspace",
    "choice": "components.sweep",
    "integer": "components.sweep",
    "log_uniform": "components.sweep",
    "uniform": "components.sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trainstack' has no attribute {name!r}")
    return getattr(importlib.import_module(f"trainstack.{_HOMES[name]}"), name)
