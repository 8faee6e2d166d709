"""Whether the packages for clusters are installed: they are an extra, which a user of one machine goes without."""

from __future__ import annotations

from importlib.util import find_spec

from trainstack.errors import InvalidInputError


def require(package: str = "kubernetes") -> None:
    """Refuse to go on without a package of the extra. Loads nothing.

    Args:
        package: The package; the client library, which is all that a pod that drives runs has.

    Raises:
        InvalidInputError: It is not installed; says what to install.
    """
    if find_spec(package) is None:
        raise InvalidInputError(
            "clusters need packages that are not installed: pip install 'trainstack[kubernetes]'", field="target"
        )
