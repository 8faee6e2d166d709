"""An image registry: look up, push and pull images by digest, all through a Docker engine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from trainstack.core.environments.uv_command import Progress
from trainstack.docker_engine.engine_api import DockerClient, engine_errors
from trainstack.errors import InvalidInputError, TrainstackError

_PROGRESS_SECONDS = 0.5
PASSWORD = "=registry"  # noqa: S105 (a key)
"""Key of a registry's password among a run's secrets: no variable can have that name."""
_ADDRESS = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-f:]+\])(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
)


class Registry(BaseModel):
    """A workspace's image registry, as its Docker engines see it.

    Attributes:
        address: `HOST[:PORT][/PREFIX]`, such as `localhost:5000` or `ghcr.io/team`.
        username: Who pushes and pulls; Docker's own logins (`docker login`) hold where it is empty.
        password: Their password or token; shown nowhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    address: str
    username: str = ""
    password: SecretStr = SecretStr("")

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        if "@" in address:
            raise InvalidInputError(
                "the registry's address holds a user name: give username and password besides", field="registry"
            )
        if not _ADDRESS.fullmatch(address):
            raise InvalidInputError(
                f"registry {address!r} is not an address: write HOST[:PORT][/PREFIX], like localhost:5000",
                field="registry",
            )
        return address

    @classmethod
    def of(cls, login: Mapping[str, str] | None, secrets: Mapping[str, str]) -> Registry | None:
        """The registry of a submitted run, its password among the run's secrets."""
        return cls.model_validate({**login, "password": secrets.get(PASSWORD, "")}) if login else None

    @property
    def open(self) -> dict[str, str]:
        """Its address and user name, which are no secret."""
        return {"address": self.address, "username": self.username}

    @property
    def auth(self) -> dict[str, str] | None:
        """The login as the Docker SDK takes it; None makes it use Docker's own."""
        if not self.username:
            return None
        return {"username": self.username, "password": self.password.get_secret_value()}

    def login_for(self, reference: str) -> dict[str, str] | None:
        """The login for an image, if it is one of this registry's."""
        return self.auth if reference.startswith(f"{self.address.partition('/')[0]}/") else None


def digest_of(client: DockerClient, reference: str, registry: Registry | None) -> str | None:
    """Ask the image's registry for its digest.

    Args:
        client: The engine that asks.
        reference: `NAME:TAG` or `NAME@sha256:…`.
        registry: Whose login to use.

    Returns:
        `sha256:…`, None where the registry has no such image.

    Raises:
        TrainstackError: The registry does not answer or refuses.
    """
    from docker.errors import APIError, NotFound

    login = registry.login_for(reference) if registry else None
    with engine_errors(f"asking for image {reference}"):
        try:
            return str(client.images.get_registry_data(reference, auth_config=login).id)
        except NotFound:
            return None
        except APIError as exc:
            explanation = (exc.explanation or str(exc)).lower()
            if any(word in explanation for word in ("manifest unknown", "not found", "name unknown")):
                return None
            raise _refusal(reference, exc.explanation or str(exc)) from exc


def pull(client: DockerClient, reference: str, registry: Registry | None, progress: Progress) -> None:
    """Pull an image.

    Raises:
        TrainstackError: It is not there, or the registry refuses.
    """
    login = registry.login_for(reference) if registry else None
    with engine_errors(f"pulling image {reference}"):
        _follow_transfer(
            client.api.pull(*_split(reference), stream=True, decode=True, auth_config=login),
            f"pulling {reference}",
            progress,
        )


def push(client: DockerClient, repository: str, tag: str, registry: Registry, progress: Progress) -> str:
    """Push a tagged image; layers that the registry has are not sent again.

    Returns:
        Its digest there, `sha256:…`.

    Raises:
        TrainstackError: The registry does not answer or refuses.
    """
    reference = f"{repository}:{tag}"
    with engine_errors(f"pushing image {reference}"):
        lines = client.api.push(repository, tag=tag, stream=True, decode=True, auth_config=registry.auth)
        pushed = _follow_transfer(lines, f"pushing to {registry.address}", progress)
    if not pushed:
        raise TrainstackError(f"registry {registry.address} took the image but named no digest: push it again")
    return pushed


def _follow_transfer(lines: Iterable[dict[str, Any]], doing: str, progress: Progress) -> str:
    """Report the progress of a transfer; return the digest that the engine names at the end of a push."""
    layers: dict[str, tuple[int, int]] = {}
    digest = ""
    last_progress = 0.0
    for line in lines:
        if "error" in line:
            raise _refusal(doing, str(line["error"]))
        aux: dict[str, Any] = line.get("aux") or {}
        digest = str(aux.get("Digest") or digest)
        detail: dict[str, Any] = line.get("progressDetail") or {}
        if detail.get("total") and line.get("status") in ("Pushing", "Downloading"):
            layers[str(line.get("id"))] = (int(detail.get("current", 0)), int(detail["total"]))
            if time.monotonic() - last_progress < _PROGRESS_SECONDS:
                continue
            last_progress = time.monotonic()
            done, total = (sum(part[index] for part in layers.values()) / 1e6 for index in (0, 1))
            progress(f"{doing}: {min(done, total):.0f} of {total:.0f} MB")
    return digest


def _refusal(doing: str, explanation: str) -> TrainstackError:
    line = " ".join(explanation.split())
    low = line.lower()
    advice = "look at the registry's own log"
    if any(word in low for word in ("unauthorized", "denied", "authentication", "no basic auth")):
        advice = "give the workspace's registry a username and a password, or run `docker login`"
    elif "http response to https client" in low:
        advice = "add it to the engine's insecure-registries, or give it a certificate"
    elif any(word in low for word in ("connection refused", "no such host", "timeout", "deadline", "unreachable")):
        advice = "start the registry or correct its address, which is looked up by the engine's machine"
    elif any(word in low for word in ("manifest unknown", "not found", "does not exist", "name unknown")):
        advice = "check its name"
    return TrainstackError(f"{doing}: {line[:300]}: {advice}")


def _split(reference: str) -> tuple[str, str | None]:
    """The repository, and the tag or digest to pull."""
    name, mark, digest = reference.partition("@")
    if mark:
        return name, digest
    repository, _, tag = reference.rpartition(":")
    return (repository, tag) if repository and "/" not in tag else (reference, "latest")


def resolve(client: DockerClient, name: str, registry: Registry | None) -> str:
    """Find out which image a name means now.

    Args:
        client: The engine that asks.
        name: `NAME:TAG`.
        registry: Whose login to use.

    Returns:
        `NAME@sha256:…` where its registry has it, else the id of the engine's own image of that name.

    Raises:
        InvalidInputError: Neither has it.
        TrainstackError: The registry does not answer, and the engine has no such image.
    """
    from docker.errors import ImageNotFound

    repository, tag = _split(name)
    problem: TrainstackError | None = None
    try:
        digest = digest_of(client, f"{repository}:{tag}", registry)
    except TrainstackError as exc:
        problem, digest = exc, None
    if digest is not None:
        return f"{repository}@{digest}"
    with engine_errors(f"looking for image {name}"):
        try:
            local = client.images.get(name)
        except ImageNotFound:
            raise problem or InvalidInputError(
                f"there is no image {name!r}, neither in its registry nor on the Docker engine: check its name",
                field="image",
            ) from None
    digests = [
        str(digest) for digest in (local.attrs.get("RepoDigests") or ()) if str(digest).startswith(f"{repository}@")
    ]
    return digests[0] if digests else str(local.id)
