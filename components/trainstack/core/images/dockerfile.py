"""Write the Dockerfile of an environment of packages, and the files that it needs beside it.

What is built here and what `save_to_directory` writes are the same text. Packages lie in two layers, TensorFlow with
what it is compiled against below all others, so that a changed package does not install TensorFlow again. The packages'
cache, the installer and the settings of the package index are mounted while building and are in no layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from trainstack.core.environments import conda_tool
from trainstack.core.environments.curated_names import FOLDER as CURATED_FOLDER
from trainstack.core.environments.horovod_wheel import FLAGS
from trainstack.core.environments.lock import Lock, tensorflow_of
from trainstack.core.environments.requirements import Pin, read_lock

FOLDER = "image"
ENVIRONMENT = "/opt/environment"
PYTHON = f"{ENVIRONMENT}/bin/python"
MICROMAMBA_IMAGE = "mambaorg/micromamba:2"
USER = 1000
# What TensorFlow cannot be imported, and Horovod not be compiled, without: large, and changed together or not at all.
_WITH_TENSORFLOW = frozenset(
    {
        "absl-py", "astunparse", "certifi", "charset-normalizer", "flatbuffers", "gast", "google-pasta", "grpcio",
        "h5py", "idna", "keras", "libclang", "ml-dtypes", "namex", "numpy", "opt-einsum", "optree", "packaging",
        "protobuf", "requests", "six", "tensorboard", "tensorboard-data-server", "tensorflow-estimator",
        "tensorflow-io-gcs-filesystem", "termcolor", "tf-keras", "triton", "typing-extensions", "urllib3", "wrapt",
    }
)  # fmt: skip
SETTINGS = "{ [ ! -f /run/secrets/settings ] || . /run/secrets/settings; }"
# The settings are a script; what it has to write (certificates, say) it writes into memory that no layer keeps.
_SECRETS = ("--mount=type=secret,id=settings", "--mount=type=tmpfs,target=/run/settings")
_UV = "--mount=type=bind,from=installer,source=/opt/uv,target=/run/uv"
_CACHE = "--mount=type=cache,id=trainstack-packages,target=/root/.cache"
_END = [f"USER {USER}:{USER}", "ENV HOME=/home/trainstack", "WORKDIR /home/trainstack", 'CMD ["python"]', ""]


def render(name: str, lock: Lock, base: str, *, variables: dict[str, str] | None = None) -> dict[str, bytes]:
    """Write an environment's Dockerfile for BuildKit.

    Args:
        name: The environment's name, for its first line.
        lock: Its lock.
        base: The image to build on.
        variables: What every process in the image finds in its environment.

    Returns:
        The content of each file, by its path in the build context.
    """
    heavy, horovod, rest = _layers(lock)
    files = {f"{FOLDER}/installer.lock": (CURATED_FOLDER / "installer.lock").read_bytes()}
    text = [
        f"# Environment {name}: Python {lock.python}, {len(lock.packages)} packages, verified by hash.",
        "# Build it with BuildKit, nothing else is needed: DOCKER_BUILDKIT=1 docker build --tag NAME .",
        "# A package index or proxy of your own, in no layer: --secret id=settings,src=FILE with lines for a shell",
        "# such as `export UV_DEFAULT_INDEX=… PIP_INDEX_URL=…`.",
        f"ARG BASE_IMAGE={base}",
    ]
    if lock.conda:
        text += [f"ARG MICROMAMBA_IMAGE={MICROMAMBA_IMAGE}", "FROM ${MICROMAMBA_IMAGE} AS micromamba"]
    text += [
        "",
        "FROM ${BASE_IMAGE} AS installer",
        "USER root",
        _run(
            [_CACHE, *_SECRETS, _bind("installer.lock")],
            "{ python3 -m pip --version >/dev/null 2>&1 || { apt-get update && apt-get install --yes "
            "--no-install-recommends ca-certificates python3-pip; }; }",
            "python3 -m pip install --quiet --no-warn-script-location --root-user-action ignore --target /opt/uv "
            "--no-deps --require-hashes --requirement /run/context/installer.lock",
        ),
        "",
        "FROM ${BASE_IMAGE} AS tensorflow",
        "USER root",
        f"ENV PATH={ENVIRONMENT}/bin:$PATH VIRTUAL_ENV={ENVIRONMENT} PYTHONUNBUFFERED=1",
        _run([_UV, _CACHE, *_SECRETS, *_conda_mounts(lock)], *_python(lock), _user()),
    ]
    if lock.conda:
        specification = conda_tool.specification_for_tool(lock.python, lock.conda, lock.channels)
        files[f"{FOLDER}/conda.yaml"] = specification.encode()
    if heavy:
        files[f"{FOLDER}/tensorflow.lock"] = _text(heavy)
        text.append(_install("tensorflow.lock"))
    if horovod:
        files[f"{FOLDER}/horovod.lock"] = _text(horovod)
        files[f"{FOLDER}/horovod-build.lock"] = (CURATED_FOLDER / "horovod-build.lock").read_bytes()
        text += ["", "FROM tensorflow AS horovod", *_compile_horovod()]
    text += ["", "FROM tensorflow"]
    if horovod:
        text.append(_install_horovod())
    if rest:
        files[f"{FOLDER}/packages.lock"] = _text(rest)
        text.append(_install("packages.lock"))
    text += [f"ENV {variable}={_quoted(value)}" for variable, value in sorted((variables or {}).items())]
    text += _END
    return {"Dockerfile": "\n".join(text).encode(), **files}


def render_plain(name: str, lock: Lock, base: str, *, variables: dict[str, str] | None = None) -> dict[str, bytes]:
    """Write the same environment for Docker's older builder, which knows no mounts: one layer, nothing cached.

    Args:
        name: The environment's name, for its first line.
        lock: Its lock, without conda packages and Horovod.
        base: The image to build on.
        variables: What every process in the image finds in its environment.

    Returns:
        The content of each file, by its path in the build context.
    """
    pins = [pin for part in _layers(lock) for pin in part]
    text = [
        f"# Environment {name}: Python {lock.python}, {len(lock.packages)} packages, verified by hash.",
        f"ARG BASE_IMAGE={base}",
        "FROM ${BASE_IMAGE} AS built",
        "USER root",
        "ARG UV_DEFAULT_INDEX PIP_INDEX_URL",
        f"COPY {FOLDER} /run/context",
        _run(
            [],
            "python3 -m pip install --quiet --no-cache-dir --root-user-action ignore --target /run/uv --no-deps "
            "--require-hashes --requirement /run/context/installer.lock",
            "export UV_NO_CACHE=1",
            f"mkdir -p /opt/python {ENVIRONMENT}",
            *_python(lock),
            *([_uv_install("packages.lock")] if pins else []),
        ),
        "",
        "FROM ${BASE_IMAGE}",
        "USER root",
        f"ENV PATH={ENVIRONMENT}/bin:$PATH VIRTUAL_ENV={ENVIRONMENT} PYTHONUNBUFFERED=1",
        _run([], _user()),
        "COPY --from=built /opt/python /opt/python",
        f"COPY --from=built {ENVIRONMENT} {ENVIRONMENT}",
        *(f"ENV {variable}={_quoted(value)}" for variable, value in sorted((variables or {}).items())),
        *_END,
    ]
    return {
        "Dockerfile": "\n".join(text).encode(),
        f"{FOLDER}/installer.lock": (CURATED_FOLDER / "installer.lock").read_bytes(),
        f"{FOLDER}/packages.lock": _text(pins),
    }


def _layers(lock: Lock) -> tuple[list[Pin], list[Pin], list[Pin]]:
    """The pins of TensorFlow's layer, Horovod's pin, and all others. Without TensorFlow the first is empty."""
    # Markers stay: uv decides by them in the image, which may have another architecture than this machine.
    pins = list(read_lock(lock.text))
    tensorflow = tensorflow_of(lock.packages)
    heavy = {tensorflow[0], *_WITH_TENSORFLOW} if tensorflow else set[str]()

    def belongs(pin: Pin) -> bool:
        return pin.name in heavy or (bool(heavy) and pin.name.startswith("nvidia-"))

    return (
        [pin for pin in pins if belongs(pin)],
        [pin for pin in pins if pin.name == "horovod"],
        [pin for pin in pins if not belongs(pin) and pin.name != "horovod"],
    )


def _text(pins: Iterable[Pin]) -> bytes:
    return "".join(pin.text for pin in sorted(pins, key=lambda pin: pin.line)).encode()


def _run(mounts: list[str], *commands: str) -> str:
    """A RUN line over several lines, which ends with the first command that fails."""
    before = [f"{mount} \\\n    " for mount in mounts]
    settings = [SETTINGS] if any("settings" in mount for mount in mounts) else []
    return f"RUN {''.join(before)}" + " && \\\n    ".join([*settings, *commands])


def _bind(file: str) -> str:
    return f"--mount=type=bind,source={FOLDER}/{file},target=/run/context/{file}"


def _python(lock: Lock) -> list[str]:
    if not lock.conda:
        # A Python of uv's own, where the base image has none of that version, must not lie in root's home.
        return [f"UV_PYTHON_INSTALL_DIR=/opt/python /run/uv/bin/uv venv --quiet --python {lock.python} {ENVIRONMENT}"]
    create = conda_tool.create_command(Path("micromamba"), Path(ENVIRONMENT), Path("/run/context/conda.yaml"))
    return [f"MAMBA_ROOT_PREFIX=/root/.cache/micromamba {' '.join(create)} --always-copy"]


def _conda_mounts(lock: Lock) -> list[str]:
    if not lock.conda:
        return []
    return ["--mount=type=bind,from=micromamba,source=/bin/micromamba,target=/usr/bin/micromamba", _bind("conda.yaml")]


def _user() -> str:
    """Add a user by its number, in the two files that every image has."""
    return (
        f"{{ grep -q '^[^:]*:[^:]*:{USER}:' /etc/passwd || "
        f"echo 'trainstack:x:{USER}:{USER}::/home/trainstack:/bin/sh' >>/etc/passwd; }} && "
        f"{{ grep -q '^[^:]*:[^:]*:{USER}:' /etc/group || echo 'trainstack:x:{USER}:' >>/etc/group; }} && "
        f"mkdir -p /home/trainstack && chown {USER}:{USER} /home/trainstack"
    )


def _uv_install(file: str) -> str:
    return (
        "/run/uv/bin/uv pip install --no-deps --require-hashes --compile-bytecode --link-mode copy "
        f"--python {PYTHON} --requirement /run/context/{file}"
    )


def _install(file: str) -> str:
    return _run([_UV, _CACHE, *_SECRETS, _bind(file)], _uv_install(file))


def _compile_horovod() -> list[str]:
    flags = " ".join(f"{name}={value}" for name, value in FLAGS.items())
    install = f"/run/uv/bin/uv pip install --no-deps --require-hashes --link-mode copy --python {PYTHON}"
    mounts = [_UV, _CACHE, *_SECRETS]
    return [
        _run(
            mounts,
            "apt-get update",
            "apt-get install --yes --no-install-recommends g++ make python3-dev",
        ),
        _run(
            [*mounts, _bind("horovod-build.lock"), _bind("horovod.lock")],
            f"{install} --requirement /run/context/horovod-build.lock",
            # A cache of its own: uv's usual one would find a build against another TensorFlow.
            f"env {flags} MAKEFLAGS=-j$(nproc) {install} --verbose --no-build-isolation --no-binary horovod "
            "--cache-dir /tmp/uv --requirement /run/context/horovod.lock",
            "mkdir /wheels",
            "find /tmp/uv -name 'horovod-*.whl' -exec cp {} /wheels/ ';'",
        ),
    ]


def _install_horovod() -> str:
    return _run(
        [_UV, _CACHE, "--mount=type=bind,from=horovod,source=/wheels,target=/run/context"],
        f"/run/uv/bin/uv pip install --no-deps --no-index --compile-bytecode --link-mode copy --python {PYTHON} "
        "/run/context/horovod-*.whl",
    )


def _quoted(value: str) -> str:
    escaped = re.sub(r'(["\\$])', r"\\\1", value)
    return f'"{escaped}"'
