"""What a server is to serve: versions of one model, their shares of the traffic, and who may ask.

It comes from the command line (one version) or from a JSON file, which the server watches: a changed file is
what replaces a model, splits traffic, rotates a key, all without a restart. `trainstack.core.services.serving_plan`
writes that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class VersionPlan:
    """One version of the model.

    Attributes:
        version: Its number in the paths.
        path: Folder with `saved_model.pb`.
        digest: Digest over its files; answered in `X-Model-Digest`. Empty when not known.
        weight: Its share of requests that name no version, beside the others' weights.
        sample_input: JSON to warm up with and to compare LiteRT and TensorFlow on; None for random values alone.
        baseline: File with the training sample that drift is measured against; None for the model's own.
    """

    version: int
    path: str
    digest: str = ""
    weight: int = 1
    sample_input: Any = None
    baseline: str | None = None


@dataclass(frozen=True)
class Plan:
    """All that may change while a server runs.

    Attributes:
        name: The model's name in the paths.
        versions: What is loaded.
        labels: Version label to version number.
        mirror: A version that gets a copy of each request that names no version; its answers are thrown away.
        key_digests: SHA-256 of each key that is let in; empty lets everybody in.
        allowed_hosts: Names by which a service without keys may be asked, besides addresses and names of this machine
            and of a cluster: `models.example.com`, `*.example.com`; `*` for any.
        cors_origins: Origins of web pages whose scripts may use the service: `https://app.example.com`; `*` for any.
        capture: Share of requests that are kept, 0 to 1.
        capture_folder: Where they are kept.
        runtime: `auto`, or `tensorflow` to never use LiteRT.
    """

    name: str
    versions: tuple[VersionPlan, ...]
    labels: Mapping[str, int] = field(default_factory=dict[str, int])
    mirror: int | None = None
    key_digests: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    capture: float = 0.0
    capture_folder: str | None = None
    runtime: str = "auto"

    @property
    def main(self) -> VersionPlan:
        """The version that gets the most traffic; of equals, the newest."""
        return max(self.versions, key=lambda version: (version.weight, version.version))

    @property
    def shares(self) -> dict[str, int]:
        """Each version that gets traffic, to its share."""
        return {str(version.version): version.weight for version in self.versions if version.weight}

    def to_json(self) -> dict[str, Any]:
        """As `from_json` reads it."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Plan:
        """Read a plan.

        Raises:
            ValueError: It is none.
        """
        try:
            lists = {name: tuple(value.get(name, ())) for name in ("key_digests", "allowed_hosts", "cors_origins")}
            fields: dict[str, Any] = {**value, **lists}
            fields["versions"] = tuple(VersionPlan(**version) for version in value["versions"])
            plan = Plan(**fields)
        except (TypeError, KeyError) as exc:
            raise ValueError(f"not a plan: {exc}") from exc
        if not plan.versions:
            raise ValueError("the plan names no version")
        return plan
