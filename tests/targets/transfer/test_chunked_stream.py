"""A stream in segments through a real S3 server, and without one when that fails."""

import os
import subprocess
import sys
import threading

import pytest

from trainstack.storage.object_store.presigned import PresignedStore
from trainstack.targets.transfer.chunked_stream import ChunkedStream

WRITES = """
import os, queue, sys, threading
from trainstack.agent.transfer.chunked_stream import ChunkedStdout
addresses = queue.Queue()
def hear():
    for line in sys.stdin:
        addresses.put(line[1:].strip())
threading.Thread(target=hear, daemon=True).start()
segments = ChunkedStdout(addresses)
for size in (10, 20_000_000, 10):
    data = (b"0123456789abcdef" * (1 << 16))
    while size:
        size -= os.write(1, data[:size])
    import time; time.sleep(0.2)
segments.close()
"""
EXPECTED = [(b"0123456789abcdef" * 2_000_000)[:size] for size in (10, 20_000_000, 10)]


def received(store):
    """What arrives of the stream, and how many segments the store was asked for."""
    writer = subprocess.Popen([sys.executable, "-c", WRITES], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin
    assert writer.stdout
    told = writer.stdin
    asked = []

    def answer(line):
        asked.append(line)
        told.write(line)
        told.flush()

    stream = ChunkedStream(writer.stdout, answer, store, "runs/segments")
    ending = threading.Timer(60, writer.kill)
    ending.start()
    found = bytearray()
    while data := stream.read(1 << 20):
        found += data
    ending.cancel()
    assert writer.wait(10) == 0
    return bytes(found), len(asked)


def whole(found):
    """Each write begins the pattern anew."""
    at = 0
    for expected in EXPECTED:
        for start in range(0, len(expected), 1 << 20):
            size = min(1 << 20, len(expected) - start)
            assert found[at : at + size] == EXPECTED[1][:size]
            at += size
    return at == len(found)


@pytest.mark.skipif("AWS_ENDPOINT_URL" not in os.environ, reason="AWS_ENDPOINT_URL names no S3 server")
def test_chunks_pass_through_the_store_and_are_removed():
    store = PresignedStore("s3://trainstack/tests")
    found, asked = received(store)
    assert whole(found)
    assert asked >= 2
    assert store.remove("runs/segments") == 0


class Broken:
    """A store whose addresses lead nowhere."""

    def write_url(self, name):
        return f"http://127.0.0.1:1/{name}"


def test_what_the_store_does_not_take_arrives_all_the_same():
    found, asked = received(Broken())
    assert whole(found)
    assert asked >= 2
