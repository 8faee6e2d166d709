"""Datastore: where data lies in an object store, named once; datasets refer to paths in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from trainstack.components.base import Component, in_clear
from trainstack.components.declaration import checked


@checked
@dataclass(kw_only=True)
class DatastoreArgs:
    """Arguments of a datastore. None is a secret: credentials come from the cloud's usual chain.

    Attributes:
        root: A bucket or a folder in it: `s3://BUCKET/FOLDER`, `gs://…`, `az://CONTAINER/…` or
            `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/…`.
        endpoint: A server other than the one that the environment names, such as `https://minio.example:9000`.
        region: The bucket's region, where it is not the environment's; of S3.
        anonymous: Whether requests go without credentials, as public buckets take them.
        requester_pays: Whether the account of the credentials pays for requests and transfer; of S3.
        profile: The profile of AWS that has the credentials, where they are not the environment's; of S3.
    """

    root: pulumi.Input[str]
    endpoint: pulumi.Input[str] = ""
    region: pulumi.Input[str] = ""
    anonymous: pulumi.Input[bool] = False
    requester_pays: pulumi.Input[bool] = False
    profile: pulumi.Input[str] = ""


@dataclass(frozen=True)
class DatastorePath:
    """An object, a folder or a glob in a datastore: a source of a dataset (`paths`).

    Attributes:
        datastore: The datastore.
        address: Its address.
    """

    datastore: Datastore
    address: pulumi.Output[str]


class Datastore(Component):
    """The root of data in an object store, and how it is reached.

    The data stays there. A dataset of it is registered from its listing.

    Attributes:
        name: Its name in the program.
        root: Its address.

    Example:
        ```python
        lake = ts.Datastore("lake", ts.DatastoreArgs(root="s3://team/images"))
        photos = ts.Dataset("photos", ts.DatasetArgs(workspace=workspace, paths=[lake.path("photos/**/*.png")]))
        ```
    """

    kind = "Datastore"

    def __init__(self, name: str, args: DatastoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.name = name
        options = {
            "endpoint": args.endpoint,
            "region": args.region,
            "anonymous": args.anonymous,
            "requester_pays": args.requester_pays,
            "profile": args.profile,
        }
        root = pulumi.Output.from_input(args.root).apply(lambda address: address.rstrip("/"))
        chosen = {option: value for option, value in options.items() if value not in ("", False)}
        self._inputs = in_clear(f"datastore {name}", {"root": root, **chosen})
        self.root: pulumi.Output[str] = self._inputs["root"]
        self.register_outputs({"root": self.root})

    def path(self, path: str = "") -> DatastorePath:
        """Stand for what lies at a path.

        Args:
            path: An object, a folder or a glob, relative to the root; the root itself when left out.
        """
        below = path.lstrip("/")
        return DatastorePath(self, self.root.apply(lambda root: f"{root}/{below}" if below else f"{root}/"))

    def inputs(self) -> dict[str, Any]:
        """What a dataset's inputs hold of it."""
        return self._inputs
