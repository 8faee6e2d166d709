"""A SavedModel's signatures, read from its file without TensorFlow.

Reads of the protocol buffers `SavedModel`, `MetaGraphDef`, `SignatureDef` and `TensorInfo`
(tensorflow/core/protobuf/saved_model.proto and meta_graph.proto) the few fields that say what goes in and out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..codec.signature import TYPES, Signature, TensorSpec

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def signatures(path: Path) -> dict[str, Signature]:
    """What the first graph of a SavedModel declares.

    Args:
        path: The folder with `saved_model.pb`.

    Returns:
        Signature by key; empty when there is no such file, or it cannot be read.
    """
    try:
        data = memoryview((path / "saved_model.pb").read_bytes())
        graph = next(value for number, value in _fields(data) if number == 2 and isinstance(value, memoryview))
        entries = dict(
            _entry(value) for number, value in _fields(graph) if number == 5 and isinstance(value, memoryview)
        )
        return {name: _signature(name, value) for name, value in entries.items() if not name.startswith("__")}
    except (OSError, StopIteration, ValueError, IndexError):
        return {}


def signature_map(path: str) -> bytes:
    """The signatures of a SavedModel as a `SignatureDefMap` (tensorflow_serving/apis/get_model_metadata.proto)."""
    data = memoryview((Path(path) / "saved_model.pb").read_bytes())
    graph = next(value for number, value in _fields(data) if number == 2 and isinstance(value, memoryview))
    # Both are maps by name, so their entries are the same bytes.
    entries = [bytes(value) for number, value in _fields(graph) if number == 5 and isinstance(value, memoryview)]
    return b"".join(b"\x0a" + _length(len(entry)) + entry for entry in entries)


def _length(size: int) -> bytes:
    content = bytearray()
    while size >= 0x80:
        content.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*content, size])


def _signature(name: str, data: memoryview) -> Signature:
    sides: dict[int, dict[str, TensorSpec]] = {1: {}, 2: {}}
    method = ""
    for number, value in _fields(data):
        if isinstance(value, memoryview):
            if number in sides:
                key, info = _entry(value)
                sides[number][key] = _tensor(info)
            elif number == 3:
                method = bytes(value).decode()
    return Signature(name, dict(sorted(sides[1].items())), dict(sorted(sides[2].items())), method)


def _tensor(data: memoryview) -> TensorSpec:
    dtype, shape = "", None
    for number, value in _fields(data):
        if number == 2 and isinstance(value, int):
            dtype = dtype or TYPES.get(value, str(value))
        elif number == 4:
            dtype = "SparseTensor"
        elif number == 5 and isinstance(value, memoryview):
            dtype = _composite(value)
        elif number == 3 and isinstance(value, memoryview):
            shape = _shape(value)
    return TensorSpec(dtype, shape)


def _composite(data: memoryview) -> str:
    """The kind of a tensor that is made of several: its `type_spec` names the class."""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, memoryview):
            names = [
                bytes(name).decode() for part, name in _fields(value) if part == 3 and isinstance(name, memoryview)
            ]
            return names[-1].removesuffix("Spec") if names else "composite tensor"
    return "composite tensor"


def _shape(data: memoryview) -> tuple[int, ...] | None:
    sizes: list[int] = []
    for number, value in _fields(data):
        if number == 3 and value:
            return None
        if number == 2 and isinstance(value, memoryview):
            size = next(
                (field_value for part, field_value in _fields(value) if part == 1 and isinstance(field_value, int)), 0
            )
            sizes.append(size - 2**64 if size >= 2**63 else size)
    return tuple(sizes)


def _entry(data: memoryview) -> tuple[str, memoryview]:
    """One entry of a map: its key, a text, and its value, a message."""
    parts = dict(_fields(data))
    key, value = parts.get(1, memoryview(b"")), parts.get(2, memoryview(b""))
    if isinstance(key, int) or isinstance(value, int):
        raise ValueError("no entry of a map")  # noqa: TRY004 - the file is wrong, not the caller
    return bytes(key).decode(), value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message in protocol buffers' wire format: number, and an integer or the bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("not in protocol buffers' wire format")
        if at + size > len(data):
            raise ValueError("cut short")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
