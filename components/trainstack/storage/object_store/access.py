"""How a bucket is reached, where that is not what the environment says; it holds no secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreAccess:
    """The options of a connection.

    Attributes:
        endpoint: A server other than the one that the environment names, such as `https://minio.example:9000`.
        region: The bucket's region, of S3.
        anonymous: Whether requests go without credentials, as public buckets take them.
        requester_pays: Whether the account of the credentials pays for requests and transfer, of S3.
        profile: The profile of AWS that has the credentials.
    """

    endpoint: str = ""
    region: str = ""
    anonymous: bool = False
    requester_pays: bool = False
    profile: str = ""


FROM_ENVIRONMENT = StoreAccess()
