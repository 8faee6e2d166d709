"""The public names of `trainstack`, and the one place that lists them.

Type checkers read this file as it is. `__init__.py` takes from it which module to load when a name is first used.
"""

from trainstack.components.compute import Compute as Compute
from trainstack.components.compute import ComputeArgs as ComputeArgs
from trainstack.components.dataset import Dataset as Dataset
from trainstack.components.dataset import DatasetArgs as DatasetArgs
from trainstack.components.dataset import DatasetChecks as DatasetChecks
from trainstack.components.dataset import DatasetReference as DatasetReference
from trainstack.components.dataset import RunOutput as RunOutput
from trainstack.components.datastore import Datastore as Datastore
from trainstack.components.datastore import DatastoreArgs as DatastoreArgs
from trainstack.components.datastore import DatastorePath as DatastorePath
from trainstack.components.distribution import Horovod as Horovod
from trainstack.components.distribution import MpiConfiguration as MpiConfiguration
from trainstack.components.distribution import TensorFlow as TensorFlow
from trainstack.components.distribution import TensorflowConfiguration as TensorflowConfiguration
from trainstack.components.environment import Environment as Environment
from trainstack.components.environment import EnvironmentArgs as EnvironmentArgs
from trainstack.components.kubernetes.args import KarpenterPool as KarpenterPool
from trainstack.components.kubernetes.args import KubernetesArgs as KubernetesArgs
from trainstack.components.kubernetes.args import KubernetesClaim as KubernetesClaim
from trainstack.components.kubernetes.args import KubernetesDriver as KubernetesDriver
from trainstack.components.kubernetes.args import KubernetesVolume as KubernetesVolume
from trainstack.components.kubernetes.queue import Queue as Queue
from trainstack.components.kubernetes.queue import QueueArgs as QueueArgs
from trainstack.components.kubernetes.tracking_args import ClusterTracking as ClusterTracking
from trainstack.components.model import Model as Model
from trainstack.components.model import ModelArgs as ModelArgs
from trainstack.components.model import ResourceConfiguration as ResourceConfiguration
from trainstack.components.node import Node as Node
from trainstack.components.sweep import Parameter as Parameter
from trainstack.components.sweep import Sweep as Sweep
from trainstack.components.sweep import SweepArgs as SweepArgs
from trainstack.components.sweep import choice as choice
from trainstack.components.sweep import integer as integer
from trainstack.components.sweep import log_uniform as log_uniform
from trainstack.components.sweep import uniform as uniform
from trainstack.components.training_run import TrainingRun as TrainingRun
from trainstack.components.training_run import TrainingRunArgs as TrainingRunArgs
from trainstack.components.web_service import KubernetesServiceArgs as KubernetesServiceArgs
from trainstack.components.web_service import WebService as WebService
from trainstack.components.web_service import WebServiceArgs as WebServiceArgs
from trainstack.components.workspace import Registry as Registry
from trainstack.components.workspace import Workspace as Workspace
from trainstack.components.workspace import WorkspaceArgs as WorkspaceArgs
from trainstack.errors import TrainstackError as TrainstackError
from trainstack.notebook.history import History as History

__all__: list[str]
