"""Build an image on a Docker engine: with BuildKit through Docker's own program, else with the SDK's builder.

The build ends with this process. Its output is written to a log and passed on line by line.
"""

from __future__ import annotations

import io
import os
import queue
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from trainstack import process_environment
from trainstack.agent.ranks import pdeathsig_exec
from trainstack.core.environments.uv_command import Progress
from trainstack.core.images import build_settings
from trainstack.core.images.dockerfile import SETTINGS as _SETTINGS
from trainstack.docker_engine import engine_api
from trainstack.docker_engine.engine_api import DockerClient
from trainstack.errors import CommandFailedError

DOCKERFILE = ".trainstack.Dockerfile"
_STAMP = re.compile(r"^#\d+ (?:\d+\.\d+ )?")
_STEP = re.compile(r"^#\d+ \[(?:\S+ )?(\d+/\d+)\] (.*)")
_PERCENT = re.compile(r"\[\s*(\d+)%\]")
_CLASSIC_STEP = re.compile(r"^Step (\d+/\d+) : (.*)")
_MOUNT = re.compile(r"--(?:mount|network|security)=\S+\s+")
_REPORTED = ("Downloading ", "Building ", "Prepared ", "Installed ", "Bytecode compiled ", "Resolved ")
# Docker 23 moved BuildKit out of its own program, into the plugin buildx.
_BUILT_IN = 23
_SILENCE_SECONDS = 1.0


@dataclass(frozen=True)
class BuildRequest:
    """An image to build.

    Attributes:
        dockerfile: The Dockerfile's text.
        context: The build context, a tar archive without the Dockerfile.
        tag: The name that the image gets, `NAME:TAG`.
        labels: Its labels.
        arguments: Build arguments; nothing secret, since an image's history shows them.
        settings: The script that RUN lines get as the secret `settings`.
    """

    dockerfile: bytes
    context: IO[bytes]
    tag: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    settings: bytes = field(default=b"", repr=False)


def docker_program() -> list[str] | None:
    """Find a `docker` that builds with BuildKit, which not every one does; gives the command that builds.

    Returns:
        None where there is none: then there is the SDK's builder, without mounts and secrets.
    """
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        program = shutil.which("docker", path=folder)
        if program is None:
            continue
        version = re.search(r"version (\d+)\.", _command_output([program, "--version"]))
        if version and int(version[1]) < _BUILT_IN:
            return [program, "build"]
        if _command_output([program, "buildx", "version"]):
            return [program, "buildx", "build", "--load"]
    return None


def archive(files: Mapping[str, bytes]) -> IO[bytes]:
    """Pack files into a build context that is the same for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed


def build(
    client: DockerClient, request: BuildRequest, command: list[str] | None, progress: Progress, log: IO[str]
) -> None:
    """Build an image and tag it; an interrupted or killed build leaves no tag.

    Args:
        client: The engine.
        request: What to build.
        command: What `docker_program` found.
        progress: Receives a line about the progress.
        log: Gets all that the build prints.

    Raises:
        CommandFailedError: The build failed; carries its lines.
        TrainstackError: The engine has gone.
    """
    output = _BuildOutput(progress, log)
    if command is None:
        _build_with_sdk(client, request, output)
    else:
        _build_with_program(client, request, command, output)


class _BuildOutput:
    """The lines of a build: kept, written to the log, and the informative ones passed on."""

    def __init__(self, progress: Progress, log: IO[str]) -> None:
        self.lines: list[str] = []
        self._progress = progress
        self._log = log
        self._last = "building image"

    def repeat(self) -> None:
        """Report the last line again: the receiver may end the build by raising an exception."""
        self._progress(self._last)

    def _report(self, text: str) -> None:
        self._last = text
        self._progress(text)

    def __call__(self, line: str) -> None:
        line = line.rstrip()
        self.lines.append(line)
        self._log.write(f"{line}\n")
        self._log.flush()
        message = _STAMP.sub("", line)
        if step := _STEP.match(line):
            self._report(f"building image, step {step[1]}: {_step_summary(step[2])}")
        elif message.startswith(_REPORTED):
            self._report(f"building image: {message[0].lower()}{message[1:]}")
        elif (done := _PERCENT.search(message)) and int(done[1]) % 5 == 0:
            self._report(f"building image: compiling, {done[1]} %")
        elif step_match := _CLASSIC_STEP.match(message):
            self._report(f"building image, step {step_match[1]}: {_step_summary(step_match[2])}")


def _step_summary(instruction: str, length: int = 80) -> str:
    """An instruction for people: what it does, not what it mounts."""
    return " ".join(_MOUNT.sub("", instruction).replace(f"{_SETTINGS} &&", "").split())[:length]


def _lines(stream: IO[str] | None, on_silence: Callable[[], None]) -> Iterator[str]:
    """A process's lines as they come; while none come, `on_silence` is called every second."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in stream or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True, name="build output").start()
    while True:
        try:
            line = lines.get(timeout=_SILENCE_SECONDS)
        except queue.Empty:
            on_silence()
            continue
        if line is None:
            return
        yield line


def _build_with_program(client: DockerClient, request: BuildRequest, command: list[str], output: _BuildOutput) -> None:
    address = engine_api.address(client)
    with tempfile.TemporaryFile() as context, _secret(request.settings) as secret:
        _write_context(request, context)
        words = [*command, "--progress", "plain", "--file", DOCKERFILE, "--tag", request.tag]
        for name, value in request.labels.items():
            words += ["--label", f"{name}={value}"]
        for name, value in request.arguments.items():
            words += ["--build-arg", f"{name}={value}"]
        if secret:
            words += ["--secret", f"id=settings,src={secret}"]
        if _needs_host_network(address):
            words += ["--network", "host"]
        # `pdeathsig_exec` ends it with this process, however that ends; the engine ends a build whose client has gone.
        command_line = [sys.executable, "-I", "-S", pdeathsig_exec.__file__, str(os.getpid()), *words, "-"]
        # Programs that Docker asks for a registry's password take it from a cloud's credentials.
        patterns = [*process_environment.BASE, *process_environment.DOCKER, *process_environment.CLOUD]
        environment = process_environment.selected(patterns) | engine_api.variables(address)
        environment |= {"DOCKER_BUILDKIT": "1", "NO_COLOR": "1"}
        process = subprocess.Popen(
            command_line,
            stdin=context,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            encoding="utf-8",
            errors="replace",
        )
        try:
            for line in _lines(process.stdout, output.repeat):
                output(line)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        raise CommandFailedError(f"docker build ended with code {code}", output.lines)


def _build_with_sdk(client: DockerClient, request: BuildRequest, output: _BuildOutput) -> None:
    with tempfile.TemporaryFile() as context, engine_api.engine_errors("building an image"):
        _write_context(request, context)
        lines: Iterator[dict[str, Any]] = client.api.build(
            fileobj=context, custom_context=True, dockerfile=DOCKERFILE, tag=request.tag, labels=dict(request.labels),
            buildargs={**_proxies(), **request.arguments}, rm=True, forcerm=True, decode=True,
            network_mode="host" if _needs_host_network(engine_api.address(client)) else None,
        )  # fmt: skip
        for event in lines:
            for line in str(event.get("stream", "")).splitlines():
                if line.strip():
                    output(line)
            if "error" in event:
                output(str(event["error"]))
                raise CommandFailedError("the build ended without success", output.lines)


def _proxies() -> dict[str, str]:
    """Proxies as build arguments: Docker keeps these few out of an image's history."""
    return {name: value for name, value in build_settings.variables().items() if name.upper().endswith("_PROXY")}


def _needs_host_network(address: str | None) -> bool:
    """Whether the build takes part in the machine's network: an index on this machine is reached in no other way."""
    return build_settings.uses_loopback() and (address is None or address.startswith("unix://"))


def _write_context(request: BuildRequest, into: IO[bytes]) -> None:
    shutil.copyfileobj(request.context, into)
    into.seek(0)
    with tarfile.open(fileobj=into, mode="a") as tar:
        member = tarfile.TarInfo(DOCKERFILE)
        member.size = len(request.dockerfile)
        tar.addfile(member, io.BytesIO(request.dockerfile))
    into.seek(0)


@contextmanager
def _secret(content: bytes) -> Generator[str]:
    """A path from which the child process alone reads the secret, and which is never written to disk."""
    if not content:
        yield ""
        return
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("settings")
        try:
            os.write(descriptor, content)
            yield f"/proc/{os.getpid()}/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    # Elsewhere a pipe with a name, which holds nothing that is not being read.
    with tempfile.TemporaryDirectory(prefix="trainstack-") as folder:
        path = Path(folder) / "settings"
        os.mkfifo(path, 0o600)
        threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
        yield str(path)


def _command_output(command: list[str]) -> str:
    try:
        completed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return completed.stdout if completed.returncode == 0 else ""
