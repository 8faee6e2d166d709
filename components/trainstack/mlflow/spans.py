"""Spans of a trace, from the file that MLflow's client writes into OpenTelemetry's form."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Sequence
from typing import Any, cast


def exported(spans: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return an `ExportTraceServiceRequest` with spans, as JSON.

    Args:
        spans: Spans as MLflow 3 writes them.

    Returns:
        The request; empty where they are not of that form, as those of MLflow 2.
    """
    with contextlib.suppress(KeyError, TypeError, ValueError):
        if spans:
            return {"resourceSpans": [{"scopeSpans": [{"spans": [_span(span) for span in spans]}]}]}
    return {}


def _span(span: dict[str, Any]) -> dict[str, Any]:
    parent = {"parentSpanId": _hexadecimal(span["parent_span_id"])} if span.get("parent_span_id") else {}
    return {
        "traceId": _hexadecimal(span["trace_id"]),
        "spanId": _hexadecimal(span["span_id"]),
        **parent,
        "name": span["name"],
        "startTimeUnixNano": str(span["start_time_unix_nano"]),
        "endTimeUnixNano": str(span["end_time_unix_nano"]),
        "status": span.get("status", {}),
        # Each is JSON already.
        "attributes": [_pair(key, json.loads(value)) for key, value in span.get("attributes", {}).items()],
        "events": [_event(event) for event in span.get("events", [])],
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    attributes = [_pair(key, value) for key, value in event.get("attributes", {}).items()]
    return {"name": event["name"], "timeUnixNano": str(event["time_unix_nano"]), "attributes": attributes}


def _hexadecimal(text: str) -> str:
    return base64.b64decode(text, validate=True).hex()


def _pair(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": _any_value(value)}


def _any_value(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_any_value(each) for each in cast("list[Any]", value)]}}
        case dict():
            pairs = cast("dict[str, Any]", value)
            return {"kvlistValue": {"values": [_pair(key, each) for key, each in pairs.items()]}}
        case _:
            return {"stringValue": str(value)}
