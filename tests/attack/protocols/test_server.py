"""Common behaviour of the pack's servers."""

import socket
import threading
import time
from pathlib import Path

import pytest

from backwatch.attack.authority import Authority
from backwatch.attack.protocols.redis import RedisServer
from backwatch.attack.protocols.server import LOOPBACK


def test_restarting_server_refuses_clients_and_keeps_its_port(tmp_path: Path) -> None:
    service = RedisServer(Authority(tmp_path))
    service.start()
    restarting = threading.Thread(target=service.restart, args=(1.0,))
    restarting.start()
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, service.port), timeout=5)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((LOOPBACK, service.port))
    restarting.join()
    socket.create_connection((LOOPBACK, service.port), timeout=5).close()
    service.stop()
