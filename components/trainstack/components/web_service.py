"""WebService: a registered model behind an HTTP address."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from trainstack.components.base import Component, LifecycleResource
from trainstack.components.compute import Compute
from trainstack.components.model import Model
from trainstack.provider.handles import WebServiceHandle


@dataclass(kw_only=True)
class WebServiceArgs:
    """Arguments of a web service.

    Attributes:
        model: The model to serve.
        port: The port on 127.0.0.1; a free one is chosen, and kept, when left out.
        compute: Where it runs; a process of this machine when left out. With target `docker` it is a container, and the
            port is one of the engine's machine.
        server: `trainstack`, or `tensorflow-serving`, which needs a compute with target `docker`.
        server_image: The image of TensorFlow Serving; the one for the model's TensorFlow when left out.
    """

    model: Model
    port: pulumi.Input[int] = 0
    compute: Compute | None = None
    server: pulumi.Input[str] = "trainstack"
    server_image: pulumi.Input[str] | None = None


class _Resource(LifecycleResource, module="trainstack", name="WebService"):
    outputs = ("scoring_uri", "served_port")
    scoring_uri: pulumi.Output[str]


class WebService(Component):
    """A model served with TensorFlow Serving's REST paths, without any code.

    Healthy, and serving this very model, before `pulumi up` returns; stopped by `pulumi destroy`.

    Attributes:
        name: Its name.
        scoring_uri: The address to post instances to.

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
        self._resource = _Resource(
            WebServiceHandle(),
            name,
            {
                "workspace": args.model.workspace.root,
                "name": name,
                "model_name": args.model.name,
                "model_version": args.model.version,
                "model_digest": args.model.digest,
                "port": args.port,
                "server": args.server,
                "server_image": args.server_image,
                **({"compute": compute.spec, **compute.workspace.images} if compute else {}),
            },
            self._child_options([compute]),
        )
        self.scoring_uri = self._resource.scoring_uri
        self.register_outputs({"scoring_uri": self.scoring_uri})
