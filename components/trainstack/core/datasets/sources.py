"""The names that a dataset's files get, and the addresses that they may come from.

Nothing here reads a file's content or uses the network, so that preview can call all of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from trainstack.core.datasets.local_files import LocalFiles
from trainstack.errors import InvalidInputError
from trainstack.storage.file_names import is_utf8

SCHEMES = ("http", "https", "file")


def name_urls(urls: Sequence[str | Sequence[str]] | Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Name each file that comes from the web, and check its addresses.

    Args:
        urls: One entry a file, an address or several mirrors; a mapping gives the names, else the first address does.

    Returns:
        Name in the dataset to addresses, in the order given.

    Raises:
        InvalidInputError: An address is not usable, or two files get the same name.
    """
    addresses: dict[str, tuple[str, ...]] = {}
    entries = urls.items() if isinstance(urls, Mapping) else ((None, entry) for entry in urls)
    for explicit_name, entry in entries:
        mirrors = (entry,) if isinstance(entry, str) else tuple(entry)
        if not mirrors:
            raise InvalidInputError("an entry of urls has no address: name at least one", field="urls")
        for url in mirrors:
            _check_url(url)
        if explicit_name is None:
            name = unquote(urlsplit(mirrors[0]).path.rpartition("/")[2])
            if not name:
                raise InvalidInputError(
                    f"no file name can be taken from {mirrors[0]}: name it, urls={{'NAME': '{mirrors[0]}'}}",
                    field="urls",
                )
        else:
            name = explicit_name
        check_name(name, mirrors[0], "urls")
        if name in addresses:
            raise InvalidInputError(
                f"{addresses[name][0]} and {mirrors[0]} would both be the file {name!r}: name them, "
                "urls={'NAME': 'ADDRESS', …}",
                field="urls",
            )
        addresses[name] = mirrors
        _check_files_exist(name, mirrors)
    return addresses


def check_unique_names(
    remote: Mapping[str, Sequence[str]], local: Iterable[LocalFiles], objects: Mapping[str, str] | None = None
) -> list[str]:
    """Check that each file has a path of its own in the dataset, and return their names.

    Args:
        remote: Addresses of web files by name.
        local: Files of this machine.
        objects: Addresses of objects by name.

    Raises:
        InvalidInputError: Two sources give the same name, or one's name is another's folder.
    """
    origin = {name: urls[0] for name, urls in remote.items()}
    for group in local:
        for name in group.names:
            path = f"{group.base}/{name}"
            check_name(name, path, "paths")
            if origin.setdefault(name, path) != path:
                raise InvalidInputError(
                    f"{origin[name]} and {path} would both be the file {name!r}: give a folder that holds both, or "
                    "make two datasets",
                    field="paths",
                )
    for name, address in (objects or {}).items():
        if origin.setdefault(name, address) != address:
            raise InvalidInputError(
                f"{origin[name]} and {address} would both be the file {name!r}: rename one, or make two datasets",
                field="paths",
            )
    for name in origin:
        folder = name.rpartition("/")[0]
        while folder:
            if folder in origin:
                raise InvalidInputError(
                    f"{folder!r} is the file {origin[folder]} and also the folder of {origin[name]}: rename one",
                    field="urls",
                )
            folder = folder.rpartition("/")[0]
    return sorted(origin)


def check_name(name: str, source: str, field: str) -> None:
    """Check that a name stays inside the dataset's folder and can be written down.

    Raises:
        InvalidInputError: It is absolute, leads out, or has characters that a file's name cannot have.
    """
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "" in parts or "." in parts:
        problem = "must be a plain relative path, without '..'"
    elif _has_control(name) or not is_utf8(name):
        problem = "has characters that a file name cannot hold"
    elif any(len(os.fsencode(part)) > 255 for part in parts):
        problem = "is longer than the 255 bytes that a file name may have"
    else:
        return
    raise InvalidInputError(f"the file name {name!r} (of {source!r}) {problem}: rename it", field=field)


def file_url_path(url: str) -> Path | None:
    """The path that a `file:` address names; none for the others."""
    split = urlsplit(url)
    return Path(unquote(split.path)) if split.scheme.lower() == "file" else None


def redacted_url(url: str) -> str:
    """An address for messages: without its query, which may hold a token."""
    address, query, _ = url.partition("?")
    return f"{address}?…" if query else address


def _check_url(url: str) -> None:
    try:
        split = urlsplit(url)
        host, _ = split.hostname, split.port
    except ValueError as exc:
        raise InvalidInputError(f"{url!r} is not a web address: {exc}", field="urls") from exc
    scheme = split.scheme.lower()
    if scheme not in SCHEMES:
        raise InvalidInputError(
            f"{url!r} is not a web address that can be fetched: start it with http://, https:// or file:///, or "
            "give a local file in paths",
            field="urls",
        )
    if _has_control(url) or " " in url:
        raise InvalidInputError(f"{url!r} holds a space or control character: write a space as %20", field="urls")
    if split.username is not None or split.password is not None:
        raise InvalidInputError(
            f"the address of {host} holds a user name or password, which would be written into state: put them into "
            "~/.netrc",
            field="urls",
        )
    if scheme == "file" and (host not in (None, "localhost") or not split.path.startswith("/")):
        raise InvalidInputError(f"{url!r} must be file:///ABSOLUTE/PATH", field="urls")
    if scheme != "file" and not host:
        raise InvalidInputError(f"{url!r} names no host", field="urls")


def _check_files_exist(name: str, mirrors: Sequence[str]) -> None:
    paths = [file_url_path(url) for url in mirrors]
    if not any(path is None or path.is_file() for path in paths):
        raise InvalidInputError(f"no file at {' or '.join(mirrors)} for {name!r}", field="urls")


def _has_control(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)
