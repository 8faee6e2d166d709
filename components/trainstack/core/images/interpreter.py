"""Find the Python of a user's image: looked up once for each image, and cached."""

from __future__ import annotations

from trainstack.docker_engine.engine_api import DockerClient, engine_errors
from trainstack.errors import TrainstackError
from trainstack.storage.atomic import write_bytes
from trainstack.storage.cache import cache_folder

_ASK = "command -v python3 || command -v python"


def find_interpreter(client: DockerClient, reference: str, name: str) -> str:
    """Find the Python on an image's PATH.

    Args:
        client: The engine, which has the image.
        reference: The image.
        name: What to call it in messages.

    Returns:
        The interpreter's path in the image.

    Raises:
        TrainstackError: There is none, or no shell to ask.
    """
    from docker.errors import APIError, ContainerError

    with engine_errors(f"looking at image {name}"):
        remembered = cache_folder() / "images" / f"{client.images.get(reference).id.partition(':')[2]}.python"
        if remembered.is_file():
            return remembered.read_text("utf-8").strip()
        try:
            output: bytes = client.containers.run(
                reference, entrypoint=["sh", "-c", _ASK], command=[], remove=True, network_mode="none"
            )
        except (ContainerError, APIError) as exc:
            if isinstance(exc, ContainerError) or "executable file not found" in str(exc):
                raise TrainstackError(
                    f"image {name} has no python3 on its PATH, or no sh to find it with: a run needs both"
                ) from exc
            raise
    path = output.decode(errors="replace").strip().splitlines()[-1]
    write_bytes(remembered, path.encode())
    return path
