"""What an object store answers when it refuses or fails: whether to repeat the request, and one line for people."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from trainstack.errors import StoreUnreachableError, TrainstackError
from trainstack.storage.object_store.address import endpoint

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REGION = re.compile(r"<Region>([\w-]+)</Region>|expecting '([\w-]+)'")
# Of transport errors obstore says no more than that there was one; the cause stands in what it prints of its insides.
_CAUSES = {
    "TimedOut": "no answer in time",
    "ConnectionRefused": "connection refused",
    "dns error": "its host is not known",
    "Certificate": "its certificate is not trusted",
}
_METADATA = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with trainstack[aws] installed",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_USE_AZURE_CLI=true",
    "abfss": "set AZURE_STORAGE_ACCOUNT_KEY, or AZURE_USE_AZURE_CLI=true",
}


def code_of(error: BaseException) -> str:
    """Return the store's own code, such as `NoSuchBucket`, or else the status, such as `404`; empty for neither."""
    text = str(error)
    match = _CODE.search(text) or _STATUS.search(text)
    return match[1] if match else ""


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed a little later."""
    text = str(error)
    if _from_metadata(text) or "Certificate" in text:
        return False
    status = _STATUS.search(text)
    if status is None:
        return "HTTP error: " in text and "builder error" not in text
    # S3's 409 is a conflict of two conditional requests at the same moment, Azure's is its answer to one that came too
    # late, which S3 and Google answer by 412.
    if code_of(error) == "BlobAlreadyExists":
        return False
    return int(status[1]) >= 500 or status[1] in ("408", "409", "429") or code_of(error) == "RequestTimeout"


def readable(
    error: BaseException, address: str, doing: str, server: str = "", rights: str = "list, read, write and delete"
) -> TrainstackError:
    """Turn an error of obstore into one line.

    Args:
        error: The error.
        address: The store's.
        doing: What was tried, such as `reading runs/1/run.json`.
        server: The server, where it is not the one that the environment names.
        rights: What the credentials have to allow.
    """
    text, code = str(error), code_of(error)
    parts = urlsplit(address)
    if is_transient(error):
        cause = next((words for sign, words in _CAUSES.items() if sign in text), code or "connection lost")
        server = server or (endpoint() if parts.scheme == "s3" else "") or "the store"
        return StoreUnreachableError(
            f"{address}: {server} does not answer while {doing} ({cause}): nothing is half-written, run it again"
        )
    return TrainstackError(f"{address}: {_problem(text, code, parts.scheme, parts.netloc, doing, rights)}")


def _problem(text: str, code: str, scheme: str, bucket: str, doing: str, rights: str) -> str:
    region = _REGION.search(text)
    if _from_metadata(text) or "CredentialsNotLoaded" in text:
        return f"no credentials: {_CREDENTIALS[scheme]}"
    if region or "incorrectly configured region" in text or code == "AuthorizationHeaderMalformed":
        name = (region[1] or region[2]) if region else "that region"
        return f"the bucket is in another region: set AWS_REGION to {name}"
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return f"there is no bucket {bucket!r}: create it, or check address, account and AWS_ENDPOINT_URL"
    if code == "RequestTimeTooSkewed":
        return "this machine's clock is wrong by more than the store bears: set it, by NTP say"
    if code in ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"):
        return "the credentials have expired: sign in again"
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed", "401"):
        return f"the credentials are refused ({code}): {_CREDENTIALS[scheme]}"
    if code in ("AccessDenied", "403", "AuthorizationPermissionMismatch"):
        return f"{doing} is not allowed with these credentials: let their policy {rights} there"
    summary = " ".join(text.partition("Debug source")[0].split())[:300]
    return f"{doing}: {summary}"


def _from_metadata(text: str) -> bool:
    return any(host in text.partition("Debug source")[0] for host in _METADATA)
