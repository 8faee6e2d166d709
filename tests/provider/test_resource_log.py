"""A resource's messages in Pulumi's display, and errors of one line."""

import types

from trainstack.errors import TrainstackError
from trainstack.provider import resource_log


def host():
    module = types.ModuleType("host")
    module.__dict__["DynamicResourceProviderServicer"] = object
    resource_log.one_line_errors(module)
    return module


def told(error: Exception) -> str:
    """What the host answers while an error is being handled."""

    def fail() -> None:
        raise error

    try:
        fail()
    except (TrainstackError, KeyError):
        return host().traceback.format_exc()
    return ""


def test_our_errors_are_their_text_alone():
    assert told(TrainstackError("disk full: free some space")) == "disk full: free some space"


def test_other_errors_keep_their_trace():
    assert "Traceback" in told(KeyError("oops"))


def test_another_program_is_left_alone():
    module = types.ModuleType("other")
    resource_log.one_line_errors(module)
    assert not hasattr(module, "traceback")


def test_progress_is_throttled_within_a_stage(monkeypatch):
    said = []
    monkeypatch.setattr(resource_log, "_log", lambda urn, text, **_: said.append(text))
    log = resource_log.ResourceLog("urn")
    for text in ("running 1 s", "running 2 s", "finalizing 0 s"):
        log.progress(text)
    assert said == ["running 1 s", "finalizing 0 s"]
