"""Triton's extensions of the Open Inference Protocol: configuration, statistics and a read-only repository.

The protocol: https://github.com/triton-inference-server/server/tree/main/docs/protocol. What is not served answers as
the protocol says a failed call does: 400, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ..codec.inference_tensors import declared_datatype, declared_shape
from ..codec.json_text import parse_object
from ..codec.signature import TensorSpec
from ..http.errors import HttpError
from ..http.messages import Request
from ..model.model_set import LoadedModel, ModelSet
from ..monitoring.metrics import Metrics
from .direct_response import DirectResponse, Parameters
from .open_inference import PLATFORM, default_signature, served_model

_NANOSECONDS = 1e9
_NEVER = {"count": 0, "ns": 0}


class TritonExtensionsApi:
    """Handlers over the versions of one model. Parameters are those of the routes: `name`, `version`.

    Args:
        models: The versions.
        metrics: What was counted.
    """

    def __init__(self, models: ModelSet, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics

    def config(self, request: Request, parameters: Parameters) -> DirectResponse:
        """A version as a `ModelConfig` of model_config.proto.

        Raises:
            HttpError: There is no such model or version.
        """
        model = served_model(self._models, parameters)
        signature = default_signature(model, request.parameter("signature_name"))
        document = {
            "name": self._models.plan.name,
            "platform": PLATFORM,
            "backend": "tensorflow",
            "version_policy": {"specific": {"versions": sorted(self._models.versions)}},
            # The batch is a dimension as the others, of any size.
            "max_batch_size": 0,
            "input": [_tensor(name, spec) for name, spec in signature.inputs.items()],
            "output": [_tensor(name, spec) for name, spec in signature.outputs.items()],
            "parameters": {"runtime": {"string_value": model.servable.runtime}},
        }
        return DirectResponse(model, orjson.dumps(document))

    def statistics(self, request: Request, parameters: Parameters) -> DirectResponse:
        """What versions have computed, over all workers.

        Raises:
            HttpError: There is no such model or version.
        """
        main = served_model(self._models, parameters) if "name" in parameters else self._models.main
        shown = [main] if "version" in parameters else list(self._models.versions.values())
        for model in self._models.versions.values():
            model.measure(self._metrics)
        totals = self._metrics.totals()
        stats = [self._statistics(model, totals) for model in shown]
        return DirectResponse(main, orjson.dumps({"model_stats": stats}))

    def index(self, request: Request, parameters: Parameters) -> DirectResponse:
        """The versions that are served: all that there are, and all ready.

        Raises:
            HttpError: The body is none of this call.
        """
        if request.body:
            parse_object(request.body, alone=True)
        versions = [
            {"name": self._models.plan.name, "version": str(version), "state": "READY", "reason": ""}
            for version in sorted(self._models.versions)
        ]
        return DirectResponse(self._models.main, orjson.dumps(versions))

    def read_only(self, request: Request, parameters: Parameters) -> DirectResponse:
        """What is said of loading and unloading.

        Raises:
            HttpError: Always.
        """
        raise HttpError("this repository is read-only: `pulumi up` loads what is declared")

    def unserved(self, request: Request, parameters: Parameters) -> DirectResponse:
        """What is said of an extension that is not served.

        Raises:
            HttpError: Always.
        """
        extension = "shared memory" if "sharedmemory" in request.path else request.path.rstrip("/").split("/")[-1]
        extension = "trace" if "/trace/" in request.path else extension
        raise HttpError(f"the extension {extension} is not served; GET /v2 lists those that are")

    def _statistics(self, model: LoadedModel, totals: Mapping[tuple[str, int, str], float]) -> dict[str, Any]:
        version = model.plan.version
        own = {(name, label): value for (name, number, label), value in totals.items() if number == version}
        batches = sorted((int(label), value) for (name, label), value in own.items() if name == "executions")
        executed = sum(count for _, count in batches)
        infer = {"count": int(executed), "ns": _duration(own, "computed")}
        succeeded = {"count": int(own.get(("succeeded", "count"), 0)), "ns": _duration(own, "succeeded")}
        return {
            "name": self._models.plan.name,
            "version": str(version),
            "last_inference": int(own.get(("last_inference", "ms"), 0)),
            "inference_count": int(sum(size * count for size, count in batches)),
            "execution_count": int(executed),
            "inference_stats": {
                "success": succeeded,
                "fail": {"count": int(own.get(("failed", "count"), 0)), "ns": _duration(own, "failed")},
                "queue": {"count": succeeded["count"], "ns": _duration(own, "queued")},
                # Reading and writing tensors is part of the request, and not measured by itself.
                "compute_input": {"count": int(executed), "ns": 0},
                "compute_infer": infer,
                "compute_output": {"count": int(executed), "ns": 0},
                "cache_hit": _NEVER,
                "cache_miss": _NEVER,
            },
            "response_stats": {},
            "batch_stats": [
                {
                    "batch_size": size,
                    "compute_input": {"count": int(count), "ns": 0},
                    "compute_infer": {"count": int(count), "ns": _duration(own, "computed", str(size))},
                    "compute_output": {"count": int(count), "ns": 0},
                }
                for size, count in batches
            ],
            "memory_usage": [],
        }


def _duration(counted: Mapping[tuple[str, str], float], name: str, label: str | None = None) -> int:
    """Nanoseconds that were counted under a name; of all labels where none is given."""
    seconds = sum(
        value for (key, of), value in counted.items() if key == name and of != "count" and label in (None, of)
    )
    return int(seconds * _NANOSECONDS)


def _tensor(name: str, spec: TensorSpec) -> dict[str, Any]:
    datatype = declared_datatype(spec)
    return {
        "name": name,
        "data_type": f"TYPE_{'STRING' if datatype == 'BYTES' else datatype}",
        "dims": declared_shape(spec),
    }
