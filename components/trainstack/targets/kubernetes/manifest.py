"""What Kubernetes takes and gives: JSON, whose form its API describes (https://kubernetes.io/docs/reference/kubernetes-api)."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]
"""An object of the cluster, or a part of one."""
