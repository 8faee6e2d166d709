"""What a preview can say of objects in a few requests and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainstack.core.datasets.in_place.datastore import DatastoreSpec
from trainstack.core.datasets.in_place.manifest import Manifest, ObjectFile, digest_of
from trainstack.errors import InvalidInputError, StoreUnreachableError, TrainstackError

OBJECTS = 10_000
SECONDS = 10.0
_PATIENCE = 3.0


@dataclass(frozen=True)
class ListedNow:
    """What addresses have now, as far as a preview looks.

    Attributes:
        digest: Digest over the objects; none where it is not known.
        objects: The objects; none where they were not listed.
        note: Why they were not, or what to mind.
    """

    digest: str | None
    objects: tuple[ObjectFile, ...] | None = None
    note: str = ""


def list_now(addresses: Sequence[str], datastores: Sequence[DatastoreSpec], known: Manifest | None) -> ListedNow:
    """List objects for a preview: at most `OBJECTS`, for at most `SECONDS`.

    Args:
        addresses: Objects, folders and globs.
        datastores: How they are reached.
        known: What was registered from the same addresses last; taken for what they have where they are not listed.

    Raises:
        InvalidInputError: There are none, their names cannot be files, or the store refuses, and none are registered.
    """
    # Loaded here: a preview of a large dataset that is registered needs no object store.
    from trainstack.core.datasets.in_place.listing import (
        Limit,
        ListingTooLongError,
        check_file_names,
        list_objects,
        same_without_case,
    )

    digest = known.digest if known else None
    if known and known.count > OBJECTS:
        return ListedNow(digest, note=f"{known.count:,} objects are not listed in a preview: `pulumi refresh` does")
    try:
        objects = list_objects(addresses, datastores, Limit(OBJECTS, SECONDS, _PATIENCE))
    except ListingTooLongError:
        return ListedNow(digest, note=f"more than {OBJECTS:,} objects, or more than {SECONDS:g} s: `up` lists them all")
    except InvalidInputError:
        raise
    except TrainstackError as exc:
        if known is None and not isinstance(exc, StoreUnreachableError):
            raise InvalidInputError(str(exc), field="paths") from exc
        return ListedNow(digest, note=f"its objects are not looked at: {exc}")
    check_file_names(objects)
    note = ""
    if pair := same_without_case([entry.path for entry in objects]):
        note = f"{pair[0]!r} and {pair[1]!r} are one file where a disk does not tell upper from lower case"
    return ListedNow(digest_of(objects), tuple(objects), note)
