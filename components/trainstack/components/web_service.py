"""WebService: a registered model behind an HTTP address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import pulumi

from trainstack.components.base import BaseResource, Component, portable_path
from trainstack.components.compute import Compute
from trainstack.components.declaration import checked
from trainstack.components.model import Model
from trainstack.provider.lazy_providers import LazyWebServiceProvider
from trainstack.targets import registry

if TYPE_CHECKING:
    from trainstack.components.kubernetes.service import ClusterService


@checked
@dataclass(kw_only=True)
class KubernetesServiceArgs:
    """How a web service runs on a cluster.

    Attributes:
        engine: `deployment`, or `kserve` for an InferenceService where the cluster serves that.
        min_replicas: Pods at least.
        max_replicas: Pods at most; more than `min_replicas` makes an autoscaler.
        target_cpu: Percent of the requested CPU at which the autoscaler adds pods; 70 where neither target is given.
        target_concurrency: Requests in flight of a pod at which the autoscaler adds pods, in place of `target_cpu`.
            The cluster needs an adapter that serves `custom.metrics.k8s.io`.
        expose: `port-forward` (`trainstack services forward`), `node-port` or `ingress`.
        node_port: The port of every node, 30000 to 32767; the cluster chooses when left out.
        host: The name that an Ingress answers to.
        ingress_class: The class of the Ingress.
        tls_secret: The Secret with the Ingress's certificate.
    """

    engine: str = "deployment"
    min_replicas: int = 1
    max_replicas: int = 1
    target_cpu: int | None = None
    target_concurrency: int | None = None
    expose: str = "port-forward"
    node_port: int | None = None
    host: str | None = None
    ingress_class: str | None = None
    tls_secret: str | None = None


@checked
@dataclass(kw_only=True)
class WebServiceArgs:
    """Arguments of a web service.

    Attributes:
        model: The model to serve.
        port: Its port; a free one is chosen, and kept, when left out.
        grpc_port: Another port, for gRPC (KServe's and TensorFlow Serving's services); none when left out.
        compute: Where it runs; a process of this machine when left out. With target `docker` it is a container, and the
            port is one of the engine's machine. With target `kubernetes` it is a Deployment.
        kubernetes: How it runs on a cluster, for a compute with target `kubernetes`.
        server: `trainstack`, or `tensorflow-serving`, which needs a compute with target `docker`.
        server_image: The image of TensorFlow Serving; the one for the model's TensorFlow when left out.
        host: The address to listen on. Another than 127.0.0.1 takes a key.
        allowed_hosts: Names by which a service without a key may be asked, besides addresses, names of this machine and
            those of a cluster's services: `models.example.com`, `*.example.com`; `*` for any. A web page that comes by
            another name, or from another site, is refused.
        cors_origins: Origins of web pages whose scripts may use the service: `https://app.example.com`; `*` for any.
        key_rotation: Any text, to have a key that clients must send; another text makes another key.
        tls_certificate: PEM file with a certificate chain, for https.
        tls_key: PEM file with its private key.
        traffic: Shares of the model's versions, such as `{"5": 10, "4": 90}`; `latest` is the version of `model`, which
            gets all when left out.
        mirror: A version that gets a copy of the requests to the others; nobody sees its answers.
        labels: Version labels for the paths, such as `{"stable": "4", "canary": "latest"}`.
        capture: Share of requests whose inputs and outputs are kept in the workspace, 0 to 1.
        runtime: `auto` takes LiteRT where it answers as TensorFlow does; `tensorflow` never takes it.
        workers: Processes that answer; left out, as many as the model's resource configuration has cores.
    """

    model: Model
    port: pulumi.Input[int] = 0
    grpc_port: pulumi.Input[int] | None = None
    compute: Compute | None = None
    kubernetes: KubernetesServiceArgs | None = None
    server: pulumi.Input[str] = "trainstack"
    server_image: pulumi.Input[str] | None = None
    host: pulumi.Input[str] = "127.0.0.1"
    allowed_hosts: Sequence[pulumi.Input[str]] | None = None
    cors_origins: Sequence[pulumi.Input[str]] | None = None
    key_rotation: pulumi.Input[str] | None = None
    tls_certificate: pulumi.Input[str] | None = None
    tls_key: pulumi.Input[str] | None = None
    traffic: Mapping[str, pulumi.Input[int]] | None = None
    mirror: pulumi.Input[str] | None = None
    labels: Mapping[str, pulumi.Input[str]] | None = None
    capture: pulumi.Input[float] = 0.0
    runtime: pulumi.Input[str] = "auto"
    workers: pulumi.Input[int] | None = None


class _Resource(BaseResource, module="trainstack", name="WebService"):
    scoring_uri: pulumi.Output[str]
    served_port: pulumi.Output[int]
    served_runtime: pulumi.Output[str]
    runtime_reason: pulumi.Output[str]
    key: pulumi.Output[str]


class WebService(Component):
    """A model served by TensorFlow Serving's REST paths and the Open Inference Protocol, without any code.

    Healthy, and serving this very model, before `pulumi up` returns; stopped by `pulumi destroy`. Another model, or
    other shares, replace what is served without a lost request.

    Attributes:
        name: Its name.
        scoring_uri: The address to post instances to.
        key: What clients send as `Authorization: Bearer KEY`, secret; empty where there is none.
        runtime: What computes: `litert`, `tensorflow` or both.
        runtime_reason: Why.

    Example:
        ```python
        service = ts.WebService("mnist", ts.WebServiceArgs(model=model))
        ```
    """

    kind = "WebService"

    def __init__(self, name: str, args: WebServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.name = name
        compute = args.compute
        secret = pulumi.ResourceOptions(additional_secret_outputs=["key"])
        props = {
            "workspace": args.model.workspace.root,
            "name": name,
            "model_name": args.model.name,
            "model_version": args.model.version,
            "model_digest": args.model.digest,
            "port": args.port,
            "grpc_port": args.grpc_port,
            "server": args.server,
            "server_image": args.server_image,
            **({"compute": compute.spec, **compute.workspace.images} if compute else {}),
            "host": args.host,
            "allowed_hosts": None if args.allowed_hosts is None else list(args.allowed_hosts),
            "cors_origins": None if args.cors_origins is None else list(args.cors_origins),
            "key_rotation": args.key_rotation,
            "tls_certificate": None if args.tls_certificate is None else portable_path(args.tls_certificate),
            "tls_key": None if args.tls_key is None else portable_path(args.tls_key),
            "traffic": args.traffic,
            "mirror": args.mirror,
            "labels": args.labels,
            "capture": args.capture,
            "runtime": args.runtime,
            "workers": args.workers,
        }
        props = {key: value for key, value in props.items() if value is not None}
        before: list[pulumi.Resource | None] = [compute]
        cluster_service = None
        target = compute.spec["target"] if compute is not None else registry.DEFAULT
        plugin = registry.find_plugin(target) if isinstance(target, str) else None
        if compute is not None and plugin is not None and plugin.service_component:
            options = asdict(args.kubernetes or KubernetesServiceArgs())
            component = registry.load(plugin.service_component)
            cluster_service = cast(
                "ClusterService",
                component(name, options, props, compute, self),
            )
            props = cluster_service.served
            before += cluster_service.objects
        elif args.kubernetes is not None:
            props["serving"] = asdict(args.kubernetes)
        self._resource = _Resource(
            LazyWebServiceProvider(), name, props, pulumi.ResourceOptions.merge(self._child_options(before), secret)
        )
        self.scoring_uri = self._resource.scoring_uri
        self.key = cluster_service.key if cluster_service else self._resource.key
        self.runtime = self._resource.served_runtime
        self.runtime_reason = self._resource.runtime_reason
        self.register_outputs(
            {
                "scoring_uri": self.scoring_uri,
                "key": self.key,
                "runtime": self.runtime,
                "runtime_reason": self.runtime_reason,
            }
        )
