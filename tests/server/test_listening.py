"""Who may have a port: one that waits to listen, one that listens, one after it."""

import socket

import pytest
from tests.server.served import free_port

from trainstack.server.http.listening import PortTakenError, check_free, hold, listen

HOST = "127.0.0.1"


def test_a_port_that_is_held_while_a_model_loads_is_not_free():
    port = free_port()
    with hold(HOST, port):
        with pytest.raises(PortTakenError, match=f"port {port} on {HOST} is taken by another process"):
            check_free(HOST, port)
        # Nor does a client wait there.
        with pytest.raises(ConnectionRefusedError), socket.create_connection((HOST, port), 5):
            pass
    check_free(HOST, port)


def test_a_port_is_free_again_at_once_though_connections_linger():
    port = free_port()
    for _ in range(2):
        with hold(HOST, port) as holder:
            listen(holder)
            listen(holder)
            holder.setblocking(True)
            with socket.create_connection((HOST, port), 5) as client:
                # Closed on this side first: it is this side that lingers.
                holder.accept()[0].close()
                assert client.recv(1) == b""
            with pytest.raises(PortTakenError):
                check_free(HOST, port)
    check_free(HOST, port)
