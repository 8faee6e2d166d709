"""A Docker engine as a target: a container a node on a network of the run's own, and volumes in place of a folder.

The engine may be anywhere: nothing of this machine is mounted into a container. Everything that a run has there bears
its labels, from which another process can find it, take it over or remove it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from trainstack.agent.distribution import Distribution
from trainstack.agent.plan import ports_needed
from trainstack.docker_engine.engine_api import DockerClient, connect, engine_errors, engine_info
from trainstack.errors import TrainstackError
from trainstack.targets.base import Addresses, Capacity, Layout, NodeGroupSpec, Orphan, RunRef
from trainstack.targets.docker import container_config, labels
from trainstack.targets.docker.node import DockerNode, StartedNode, exit_code
from trainstack.targets.docker.node_group import DockerNodeGroup
from trainstack.targets.docker.removal import list_objects, remove
from trainstack.targets.docker.sidecar import Sidecar

FIRST_PORT = 7000
"""Nodes have all ports to themselves, so these are always free."""
# Exit codes of an agent that ended by itself: the script ended well, or badly, or could not be started.
_AGENT_EXIT_CODES = (0, 1, 2)


class DockerTarget:
    """A Docker engine, here or elsewhere."""

    def __init__(self, docker_host: str | None = None) -> None:
        """Name an engine.

        Args:
            docker_host: Its address; when left out, that of DOCKER_HOST, else of Docker's own context.
        """
        self._host = docker_host

    @cached_property
    def client(self) -> DockerClient:
        """The connection, made when first needed.

        Raises:
            TrainstackError: Nobody answers.
        """
        return connect(self._host)

    def capacity(self) -> Capacity:
        """What the engine's machine holds. Engines do not say how many GPUs it has.

        Raises:
            TrainstackError: It does not answer.
        """
        info = engine_info(self.client)
        return Capacity(cpus=info.cpus, memory_gib=round(info.memory / 2**30, 1), gpus=None)

    def layout(self, ref: RunRef) -> Layout:
        """The volumes' places in the containers."""
        return container_config.LAYOUT

    def addresses(self, ref: RunRef, distribution: Distribution, node_count: int) -> Addresses:
        """The containers' names, and the same ports always; one node alone stays on its loopback."""
        ports = tuple(range(FIRST_PORT, FIRST_PORT + ports_needed(distribution, node_count)))
        names = tuple(labels.host_name(index) for index in range(node_count))
        return Addresses(names if node_count > 1 else ("127.0.0.1",), ports)

    def start(self, ref: RunRef, group: NodeGroupSpec) -> DockerNodeGroup:
        """Make network, volumes and containers, hand over what nodes are given, and start them.

        Raises:
            TrainstackError: The engine refuses, or does not answer.
        """
        if group.runtime.image is None:
            raise TrainstackError("a run on Docker needs its environment as an image")
        name, client = labels.prefix(ref), self.client
        run_labels = {labels.WORKSPACE: ref.workspace, labels.RUN: ref.id, labels.ATTEMPT: str(group.attempt)}
        run_labels |= {labels.NAME: group.name, labels.STACK: group.stack}
        with engine_errors("starting containers"), ThreadPoolExecutor(max_workers=4) as pool:
            network = pool.submit(client.api.create_network, name, "bridge", labels=run_labels)
            volumes = [
                pool.submit(client.api.create_volume, f"{name}-{kind}", labels=run_labels)
                for kind in ("inputs", "writable")
            ]
            for creation in (network, *volumes):
                creation.result()
            # The nodes start, and wait for their variables, while their files are still on their way.
            node_starts = [pool.submit(self._start, ref, group, index, run_labels) for index in range(group.node_count)]
            sidecar = self._sidecar(ref, group, run_labels)
            file_transfer = pool.submit(sidecar.hand_over)
            started_nodes = [node_start.result() for node_start in node_starts]
            group.all_running()
            file_transfer.result()
            nodes = [node.start_script(group.variables) for node in started_nodes]
            sidecar.start()
            sidecar.note_working()
        return DockerNodeGroup(nodes, sidecar)

    def attach(self, ref: RunRef, attempt: int, node_count: int) -> DockerNodeGroup | None:
        """Take over the containers of an attempt.

        Returns:
            The nodes, when every container runs or its agent has come to an end of its own.
        """
        sidecar, nodes = None, dict[str, dict[str, Any]]()
        with engine_errors("looking for containers to take over"):
            for container in self._containers(ref):
                if container["Labels"].get(labels.ATTEMPT) != str(attempt):
                    continue
                node = container["Labels"].get(labels.NODE, "")
                if node != labels.SIDECAR:
                    nodes[node] = self.client.api.inspect_container(container["Id"])
                elif container["Names"][0].endswith(f"-{labels.WORKING}"):
                    sidecar = container["Id"]
        indexes = [str(index) for index in range(node_count)]
        if (
            sidecar is None
            or sorted(nodes) != sorted(indexes)
            or not all(_runs_or_ended_itself(nodes[index]) for index in indexes)
        ):
            return None
        attached = Sidecar(self.client, ref, sidecar)
        attached.start()
        return DockerNodeGroup([DockerNode(self.client, nodes[index]["Id"]) for index in indexes], attached)

    def node(self, ref: RunRef, index: int) -> DockerNode | None:
        """The container of a node, when it runs."""
        with engine_errors("looking for a node"):
            for container in self._containers(ref):
                if container["Labels"].get(labels.NODE) == str(index) and container["State"] == "running":
                    return DockerNode(self.client, container["Id"])
        return None

    def collect_outputs(self, ref: RunRef) -> None:
        """End the nodes, and fetch the outputs that are still in the volumes.

        Raises:
            TrainstackError: The engine does not answer, or some outputs cannot be fetched.
        """
        with engine_errors("looking for what a run has left"):
            containers = self._containers(ref)
        sidecars = [container for container in containers if container["Labels"].get(labels.NODE) == labels.SIDECAR]
        unfetched = [
            container["Id"] for container in sidecars if not container["Names"][0].endswith(f"-{labels.SETTLED}")
        ]
        if not unfetched:
            return
        with engine_errors("ending what a run has left"):
            for container in containers:
                if container["Labels"].get(labels.NODE) != labels.SIDECAR and container["State"] == "running":
                    self.client.api.kill(container["Id"], "SIGKILL")
        for sidecar in unfetched:
            Sidecar(self.client, ref, sidecar).finish()

    def remove_all(self, ref: RunRef) -> int:
        """Remove containers, network and volumes of a run.

        Returns:
            How many containers there were.

        Raises:
            TrainstackError: The engine does not answer, or will not let go of one.
        """
        with engine_errors("removing what a run has left"):
            return remove(self.client, labels.of_run(ref))

    def unlisted(self, ref: RunRef) -> None:
        """Nothing: all that there is bears the run's name."""

    def orphans(self, workspace: str) -> Sequence[Orphan]:
        """Containers, networks and volumes of a workspace's runs.

        Raises:
            TrainstackError: The engine does not answer.
        """
        with engine_errors("looking for what runs have left"):
            objects = list_objects(self.client, {"label": f"{labels.WORKSPACE}={workspace}"})
        return [Orphan(each.labels.get(labels.RUN, ""), each.kind, each.name) for each in objects]

    def _containers(self, ref: RunRef) -> list[dict[str, Any]]:
        return self.client.api.containers(all=True, filters=labels.of_run(ref))

    def _sidecar(self, ref: RunRef, group: NodeGroupSpec, run_labels: dict[str, str]) -> Sidecar:
        client, name = self.client, labels.prefix(ref)
        created: dict[str, Any] = client.api.create_container(
            name=f"{name}-{labels.STARTING}",
            labels=run_labels | {labels.NODE: labels.SIDECAR},
            **container_config.sidecar(
                client, image=str(group.runtime.image), python=group.runtime.python, volumes=name
            ),
        )
        return Sidecar(client, ref, created["Id"])

    def _start(self, ref: RunRef, group: NodeGroupSpec, index: int, run_labels: dict[str, str]) -> StartedNode:
        client, name = self.client, labels.prefix(ref)
        created: dict[str, Any] = client.api.create_container(
            name=f"{name}-{labels.host_name(index)}",
            labels=run_labels | {labels.NODE: str(index)},
            **container_config.node(
                client,
                image=str(group.runtime.image),
                python=group.runtime.python,
                index=index,
                host=labels.host_name(index),
                network=name,
                volumes=name,
                holds=group.holds,
            ),
        )
        return StartedNode(client, created["Id"])


def _runs_or_ended_itself(container: dict[str, Any]) -> bool:
    """Whether a container runs, or its agent has ended by itself."""
    state = container["State"]
    if state.get("Running"):
        return True
    return state.get("Status") == "exited" and not state.get("OOMKilled") and exit_code(state) in _AGENT_EXIT_CODES
