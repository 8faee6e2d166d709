"""Connections to object stores: server, credentials, timeouts.

Credentials come from each cloud's usual chain and are written nowhere. obstore itself knows the environment, web and
workload identities, and the metadata servers of machines and pods; profiles of AWS are read by boto3.
"""

from __future__ import annotations

import importlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trainstack.errors import TrainstackError
from trainstack.storage.object_store.access import FROM_ENVIRONMENT, StoreAccess
from trainstack.storage.object_store.address import endpoint

_CONNECT = timedelta(seconds=5)
_STALLED = timedelta(seconds=30)
# What obstore finds by itself, in the order of AWS before any profile.
_BEFORE_PROFILES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def connect(address: str, *, timeout: timedelta, retries: int, access: StoreAccess = FROM_ENVIRONMENT) -> Any:
    """Return obstore's store for an address; no server is contacted.

    Args:
        address: `s3://`, `gs://`, `az://` or `abfss://`, a bucket and a folder in it.
        timeout: For one request with its body.
        retries: How often obstore itself repeats a request.
        access: What is not as the environment says.

    Raises:
        TrainstackError: The environment or the access names a profile that cannot be read.
    """
    from obstore.store import from_url

    client: Any = {"connect_timeout": _CONNECT, "read_timeout": min(_STALLED, timeout), "timeout": timeout}
    retry: Any = {"max_retries": retries, "retry_timeout": timedelta(minutes=3)}
    options: dict[str, Any] = {}
    scheme = urlsplit(address).scheme
    server = access.endpoint or (endpoint() if scheme == "s3" else "")
    if server:
        options["base_url" if scheme == "gs" else "endpoint"] = server
        client["allow_http"] = server.startswith("http://")
    if access.anonymous:
        options["skip_signature"] = True
    if scheme == "s3":
        if access.region:
            options["region"] = access.region
        if access.requester_pays:
            options["request_payer"] = True
        if not access.anonymous and (provider := _profile_credentials(access.profile, access.region)):
            options["credential_provider"] = provider
    return from_url(address.rstrip("/"), client_options=client, retry_config=retry, **options)


def _profile_credentials(declared: str, region: str) -> Any:
    """Return a provider of a profile's credentials, where the environment has none that come before it.

    Args:
        declared: The profile that the program names, which comes before all others; empty for none.
        region: The region that the program names, which comes before the profile's; empty for none.
    """
    profile = declared or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    superseded = not declared and any(os.environ.get(name) for name in _BEFORE_PROFILES)
    if superseded or not (profile or _has_profiles()):
        return None
    label = f"profile {declared!r}" if declared else f"AWS_PROFILE={profile}"
    try:
        boto3: Any = importlib.import_module("boto3")
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as exc:
        if not profile:
            return None
        raise TrainstackError(
            f"{label}: profiles are read by boto3, which is not installed: "
            "pip install 'trainstack[aws]', or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from exc
    try:
        provider = Boto3CredentialProvider(boto3.Session(profile_name=declared) if declared else None)
    except Exception as exc:
        if not profile:
            return None
        raise TrainstackError(f"{label}: {exc}: sign in, or name another profile") from exc
    if region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        provider.config = {}
    return provider


def _has_profiles() -> bool:
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
    )
    return any(Path(file).expanduser().is_file() for file in files)
