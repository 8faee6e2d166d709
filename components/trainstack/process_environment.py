"""Which variables of a process's environment go on to the processes that it starts: a short list, and the rest by need.

A daemon outlives the shell that starts it, and every process of the same user can read what it was started with in
`/proc/PID/environ`. So it is started with `base` alone. What may hold credentials is `selected` by who needs it, and
handed over through a pipe. A script gets neither from us: `targets/local/node.py` has its list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

BASE = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "SUDO_UID", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "XDG_*",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_*", "NVIDIA_*", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
    "TRAINSTACK_*",
)  # fmt: skip
"""What finds programs, certificates, proxies and GPUs, and our own settings."""
PACKAGES = (
    "UV_*", "PIP_*", "NETRC", "CONDA_*", "MAMBA_*", "SSH_AUTH_SOCK", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS",
    "LDFLAGS", "CPATH", "LIBRARY_PATH", "PKG_CONFIG_PATH", "CMAKE_*", "MAKEFLAGS", "HOROVOD_*",
)  # fmt: skip
"""What building an environment takes: package indexes, compilers."""
CLOUD = ("AWS_*", "GOOGLE_*", "CLOUDSDK_*", "AZURE_*", "IDENTITY_*", "MSI_*")
"""What an object store takes."""
DOCKER = ("DOCKER_*", "BUILDKIT_*", "BUILDX_*", "SSH_AUTH_SOCK")
"""What a Docker engine takes."""
KUBERNETES = ("KUBECONFIG", "KUBERNETES_*", *DOCKER, *CLOUD)
"""What a cluster takes: images come from a Docker engine, and clouds' clusters ask for the cloud's credentials."""
TRACKING = ("MLFLOW_TRACKING_*",)
"""What a tracking server of one's own takes."""


def selected(patterns: Iterable[str]) -> dict[str, str]:
    """Return this process's variables that patterns name.

    Args:
        patterns: Names, or how names begin with `*` behind it.
    """
    names = set(patterns)
    starts = tuple(name[:-1] for name in names if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(starts)}


def base() -> dict[str, str]:
    """Return what every process that we start may have."""
    return selected(BASE)
