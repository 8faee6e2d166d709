"""The package index that uv uses: that of its own settings, else that of pip's."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_UV_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE", "UV_OFFLINE")


def index_variables() -> dict[str, str]:
    """Return the variables that make uv, which does not read pip's settings, use pip's index.

    Returns:
        Nothing where uv has settings of its own, or pip has none. As variables, because an address may hold a password
        and arguments are for everyone to see.
    """
    if any(name in os.environ for name in _UV_VARIABLES) or any(path.is_file() for path in _uv_files()):
        return {}
    index = os.environ.get("PIP_INDEX_URL") or next((address for path in _pip_files() for address in _index(path)), "")
    return {"UV_DEFAULT_INDEX": index} if index else {}


def uv_settings_file() -> Path | None:
    """The file with uv's settings for this user, None without one."""
    configured = os.environ.get("UV_CONFIG_FILE")
    return next((path for path in [*([Path(configured)] if configured else []), *_uv_files()] if path.is_file()), None)


def _settings_folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _uv_files() -> list[Path]:
    return [_settings_folder() / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]


def _pip_files() -> Iterator[Path]:
    """Yield pip's settings files in the order in which one overrides the next."""
    configured = os.environ.get("PIP_CONFIG_FILE")
    if configured:
        yield Path(configured)
    yield Path(sys.prefix) / "pip.conf"
    yield _settings_folder() / "pip" / "pip.conf"
    yield Path.home() / ".pip" / "pip.conf"
    yield Path("/etc/pip.conf")


def _index(path: Path) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return
    for section in ("install", "global"):
        address = parser.get(section, "index-url", fallback="")
        if address:
            yield address
