"""A datastore: the root of data in an object store, and how it is reached. It holds no secret."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from trainstack.core.datasets.in_place.object_source import bucket_of, is_address
from trainstack.errors import InvalidInputError
from trainstack.storage.object_store.access import FROM_ENVIRONMENT, StoreAccess


class DatastoreSpec(BaseModel):
    """Where data lies, and how it is reached.

    Attributes:
        root: A bucket, or a folder in it; what is below it is reached in this way.
        endpoint: A server other than the one that the environment names.
        region: The bucket's region, of S3.
        anonymous: Whether requests go without credentials.
        requester_pays: Whether the account of the credentials pays, of S3.
        profile: The profile of AWS that has the credentials.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    root: str
    endpoint: str = ""
    region: str = ""
    anonymous: bool = False
    requester_pays: bool = False
    profile: str = ""

    @property
    def access(self) -> StoreAccess:
        """The options of a connection to it."""
        return StoreAccess(self.endpoint, self.region, self.anonymous, self.requester_pays, self.profile)


def check_datastore(store: DatastoreSpec) -> None:
    """Check the form of a datastore; no server is contacted.

    Raises:
        InvalidInputError: The root is no address of a bucket, or an option does not suit it.
    """
    root = store.root
    if not is_address(root):
        raise InvalidInputError(
            f"datastore {root!r} is no address of a bucket: write s3://BUCKET/FOLDER, gs://…, az://… or abfss://…",
            field="datastores",
        )
    bucket_of(root)
    scheme = urlsplit(root).scheme
    of_s3 = {"region": store.region, "requester_pays": store.requester_pays, "profile": store.profile}
    if scheme != "s3" and (names := [name for name, value in of_s3.items() if value]):
        raise InvalidInputError(
            f"datastore {root}: {names[0]} is an option of s3:// alone: leave it out", field="datastores"
        )
    if store.anonymous and (store.requester_pays or store.profile):
        name = "requester_pays" if store.requester_pays else "profile"
        raise InvalidInputError(
            f"datastore {root}: {name} takes credentials, and anonymous sends none: leave out one of the two",
            field="datastores",
        )
    if store.endpoint:
        _check_endpoint(store)


def access_of(address: str, stores: Sequence[DatastoreSpec]) -> StoreAccess:
    """Return how an address is reached: as the datastore with the longest root above it says.

    Args:
        address: An object, folder or glob.
        stores: The datastores of a dataset.
    """
    above = [store for store in stores if address == store.root or address.startswith(f"{store.root.rstrip('/')}/")]
    return max(above, key=lambda store: len(store.root)).access if above else FROM_ENVIRONMENT


def _check_endpoint(store: DatastoreSpec) -> None:
    split = urlsplit(store.endpoint)
    if split.scheme not in ("http", "https") or not split.hostname or split.query:
        raise InvalidInputError(
            f"datastore {store.root}: endpoint {store.endpoint!r} is no server: write https://HOST[:PORT]",
            field="datastores",
        )
    if split.username is not None or split.password is not None:
        raise InvalidInputError(
            f"datastore {store.root}: its endpoint holds a user name or password, which would be written into state: "
            "take credentials from the environment or a profile",
            field="datastores",
        )
