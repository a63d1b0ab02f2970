"""Answers leave at once, whole and in order, whatever the kernel takes of them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from waitress import wasyncore
from waitress.channel import ClientDisconnected

from irisab.http import dispatch
from irisab.http.channel import Channel


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A connection, and the socket of its client."""
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, theirs:
        server = dispatch.create(
            lambda environ, start_response: [], listener, is_quick=lambda *_: True, threads=1
        )
        channel = Channel(server, ours, ("127.0.0.1", 1), server.adj, map=server._map)
        yield channel, theirs
        channel.handle_close()
        server.task_dispatcher.shutdown()
        wasyncore.close_all(server._map)


def test_an_answer_goes_out_at_once(ends: tuple[Channel, socket.socket]) -> None:
    """It is in no buffer of ours, and the connection has had an answer."""
    channel, client = ends
    assert not channel.answered
    assert channel.write_soon(b"answer") == 6
    assert channel.answered
    assert (channel.total_outbufs_len, len(channel.outbufs)) == (0, 1)
    assert client.recv(100) == b"answer"


def test_what_the_kernel_does_not_take_comes_later(ends: tuple[Channel, socket.socket]) -> None:
    """All of it, and before what is written after it."""
    channel, client = ends
    pieces = [bytes([number]) * 700_000 for number in range(5)]
    assert [channel.write_soon(each) for each in pieces] == [700_000] * 5
    assert channel.total_outbufs_len > 0
    received = b""
    while len(received) < 3_500_000:
        received += client.recv(1 << 20)
        channel.handle_write()
    assert received == b"".join(pieces)
    assert channel.total_outbufs_len == 0


def test_who_has_just_taken_something_is_not_silent(ends: tuple[Channel, socket.socket]) -> None:
    """However long the answer took: it would be closed as a reader that never reads."""
    channel, _ = ends
    channel.last_activity = 0
    channel.write_soon(bytes(3_000_000))
    assert channel.total_outbufs_len > 0
    assert time.time() - channel.last_activity < 60


def test_two_threads_do_not_send_the_same(ends: tuple[Channel, socket.socket]) -> None:
    """What waits is sent by one of them, as long as it has the lock."""
    channel, client = ends
    with channel.outbuf_lock:
        channel.write_soon(bytes(3_000_000))
        left = channel.total_outbufs_len
        client.recv(1 << 20)
        other = threading.Thread(target=channel.handle_write)
        other.start()
        other.join(0.2)
        assert channel.total_outbufs_len == left
    other.join()
    assert channel.total_outbufs_len < left


def test_who_has_gone_is_noticed(ends: tuple[Channel, socket.socket]) -> None:
    """By the main thread, as waitress does it: nothing is raised before, and then what ends a
    task."""
    channel, client = ends
    client.close()
    assert channel.write_soon(b"answer") == 6
    assert channel.connected
    channel.handle_write()
    assert not channel.connected
    with pytest.raises(ClientDisconnected):
        channel.write_soon(b"answer")
