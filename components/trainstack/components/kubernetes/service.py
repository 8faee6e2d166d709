"""A web service's children on a cluster: its image, and the objects that run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from trainstack.components.base import BaseResource, program_errors
from trainstack.components.compute import Compute
from trainstack.components.kubernetes import objects
from trainstack.provider.lazy_providers import LazyServiceImageProvider
from trainstack.targets.kubernetes import labels
from trainstack.targets.kubernetes.config import KubernetesConfig
from trainstack.targets.kubernetes.objects import service_objects
from trainstack.targets.kubernetes.objects.serving_spec import checked


class _Image(BaseResource, module="trainstack", name="ServiceImage"):
    container: pulumi.Output[dict[str, Any]]
    key: pulumi.Output[str]


class ClusterService:
    """What a web service declares on a cluster.

    Attributes:
        objects: Its objects, as resources.
        served: Inputs of the resource that waits until they serve.
        key: What clients send; empty where there is none.
    """

    def __init__(
        self, name: str, serving: Mapping[str, Any], props: dict[str, Any], compute: Compute, parent: pulumi.Resource
    ) -> None:
        """Declare image and objects.

        Args:
            name: The service's name.
            serving: How it runs there: the fields of `ServingSpec`.
            props: The service's inputs.
            compute: The cluster; what it says of it is to be known to the program.
            parent: The component.

        Raises:
            pulumi.RunError: What is asked for cannot be.
        """
        with program_errors(f"web service {name}"):
            spec = checked({key: value for key, value in serving.items() if value is not None})
            config = KubernetesConfig.model_validate(compute.spec["kubernetes"] or {})
            title = labels.declared("web service", name, pulumi.get_project(), pulumi.get_stack())
        # KServe's gateway gives its services names of its own making.
        names = (
            ["*"] if spec.engine == "kserve" else [f"{title}.{config.namespace}", *([spec.host] if spec.host else [])]
        )
        props = {**props, "allowed_hosts": [*props.get("allowed_hosts", ()), *names]}
        hidden = pulumi.ResourceOptions(parent=parent, depends_on=[compute], additional_secret_outputs=["key"])
        image = _Image(LazyServiceImageProvider(), name, props, hidden)
        connection = compute.cluster.connection if compute.cluster else None
        rendered = service_objects.objects(title, name, pulumi.get_stack(), config, spec, image.container)
        self.objects: list[pulumi.Resource] = []
        for kind, manifest in rendered.items():
            opts = pulumi.ResourceOptions(parent=parent, depends_on=[image])
            if kind == "Deployment" and spec.autoscaled:
                # Declared for its beginning; what the autoscaler has made of it since stays.
                opts.ignore_changes = [service_objects.REPLICAS]
            self.objects.append(objects.declare(name, manifest, connection, opts))
        inputs = {key: value for key, value in props.items() if key != "key_rotation"}
        self.served = {
            **inputs,
            "serving": spec.model_dump(mode="json", exclude_none=True),
            "object_name": title,
            "image": image.container["image"],
        }
        self.key = image.key
