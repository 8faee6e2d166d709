"""Ctrl-C during an update: the engine tells the provider, which says what becomes of what is under way."""

import threading
import types

from google.protobuf import empty_pb2

from trainstack.provider import cancellation


def host():
    """A module with a servicer as Pulumi's provider process has it."""
    module = types.ModuleType("host")
    module.__dict__["empty_pb2"] = empty_pb2
    source = "class DynamicResourceProviderServicer:\n"
    for name in ("Cancel", "Delete"):
        source += f"    def {name}(self):\n        return empty_pb2.Empty()\n"
    exec(source, module.__dict__)
    cancellation.watch_cancellation(module)
    return module.DynamicResourceProviderServicer()


def test_what_is_under_way_is_announced_when_the_engine_cancels():
    servicer, told = host(), threading.Event()
    with cancellation.announced(told.set):
        assert servicer.Delete() == empty_pb2.Empty()
        assert not told.is_set()
        assert servicer.Cancel() == empty_pb2.Empty()
        assert told.wait(10)


def test_what_has_ended_is_not_announced():
    told = threading.Event()
    with cancellation.announced(told.set):
        pass
    cancellation.cancel()
    assert not told.is_set()
