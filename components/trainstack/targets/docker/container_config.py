"""How a run's containers are configured: as little as they need, and no more rights than that.

Nothing here talks to an engine, but the SDK is asked for its types.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from trainstack.docker_engine.engine_api import DockerClient
from trainstack.targets.base import Capacity, Layout

USER = 10001
"""Number of the user and the group that nodes run as; no image needs to know it."""
INPUTS = PurePosixPath("/trainstack/inputs")
WRITABLE = PurePosixPath("/trainstack/writable")
LAYOUT = Layout.below(INPUTS, WRITABLE)
# A node's container starts while the agent is still on its way into the volume; it looks for it once it is spoken to.
_WHEN_SPOKEN_TO = (
    "import runpy, select, sys; select.select([0], [], []); sys.path_importer_cache.clear(); "
    "runpy.run_module('trainstack.agent.container_entrypoint', run_name='__main__', alter_sys=True)"
)
_GIB = 2**30
_SIDECAR_BYTES = _GIB // 4
_PROCESSES = 32768


def node(
    client: DockerClient, *, image: str, python: str, index: int, host: str, network: str, volumes: str, holds: Capacity
) -> dict[str, Any]:
    """Arguments of the SDK's `create_container` for a node.

    Args:
        client: Whose types to use.
        image: The environment's image.
        python: Its interpreter.
        index: The node's number.
        host: What the other nodes call it.
        network: The run's network.
        volumes: Start of the names of the run's volumes.
        holds: What it may use.
    """
    api = client.api
    memory = int(holds.memory_gib * _GIB)
    host_config = api.create_host_config(
        **_confined(volumes),
        network_mode=network,
        nano_cpus=holds.cpus * 10**9,
        mem_limit=memory,
        # As much with swap as without: no swap, so that a lack of memory is seen and not suffered.
        memswap_limit=memory,
        shm_size=memory // 2,
        tmpfs={"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={memory // 2}"},  # noqa: S108
        device_requests=gpus(holds.gpus or 0),
    )
    return {
        "image": image,
        "entrypoint": [python],
        "command": [
            *("-c", _WHEN_SPOKEN_TO, "--log", str(LAYOUT.logs / "run.txt")),
            *("--plan", str(INPUTS / "launch.json"), "--node", str(index)),
        ],
        "hostname": host,
        "working_dir": "/",
        "stdin_open": True,
        "networking_config": api.create_networking_config({network: api.create_endpoint_config(aliases=[host])}),
        "host_config": host_config,
        **_process(python),
    }


def sidecar(client: DockerClient, *, image: str, python: str, volumes: str) -> dict[str, Any]:
    """Arguments of the SDK's `create_container` for the sidecar: both volumes, no network, little memory."""
    host_config = client.api.create_host_config(
        **_confined(volumes),
        network_mode="none",
        mem_limit=_SIDECAR_BYTES,
        memswap_limit=_SIDECAR_BYTES,
    )
    # What it writes is for whoever is attached; the engine is to keep none of it.
    host_config["LogConfig"] = {"Type": "none", "Config": {}}
    return {
        "image": image,
        "entrypoint": [python],
        "command": ["-m", "trainstack.agent.transfer.output_sender", str(WRITABLE)],
        "host_config": host_config,
        **_process(python),
    }


def gpus(count: int) -> list[Any]:
    """The SDK's request for so many GPUs; none for none."""
    from docker.types import DeviceRequest

    return [DeviceRequest(count=count, capabilities=[["gpu"]])] if count else []


def _confined(volumes: str) -> dict[str, Any]:
    from docker.types import LogConfig, Mount

    return {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "read_only": True,
        "pids_limit": _PROCESSES,
        "restart_policy": {"Name": "no"},
        # Only what an agent says before it has its own log.
        "log_config": LogConfig(type="json-file", config={"max-size": "1m", "max-file": "1"}),
        "mounts": [
            # What is in it belongs to root, but for the folders of the code.
            Mount(str(INPUTS), f"{volumes}-inputs", "volume", no_copy=True),
            Mount(str(WRITABLE), f"{volumes}-writable", "volume", no_copy=True),
        ],
    }


def _process(python: str) -> dict[str, Any]:
    """User and environment. No variable of the user's: those are handed over when it has started."""
    return {
        "user": f"{USER}:{USER}",
        "environment": {
            "PATH": f"{PurePosixPath(python).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(INPUTS / "agent"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            # The user has no entry in the image, so it is told who it is and where it may write.
            "HOME": "/tmp",  # noqa: S108
            "USER": "trainstack",
            "LOGNAME": "trainstack",
            # MLflow looks for a commit, which no container has.
            "GIT_PYTHON_REFRESH": "quiet",
        },
        # An image's own check is about what the image was made for.
        "healthcheck": {"test": ["NONE"]},
    }
