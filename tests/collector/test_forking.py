"""A fork leaves a child that has everything whole, whatever our threads are at."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.authority import Authority

FORKS = """
import encodings.idna, os, select, signal, socket, ssl, sys, threading
from backwatch.collector.settings import StreamSettings
from backwatch.collector.stream.kafka_address import client_options

ca_file, certificate, key, count = sys.argv[1:]
service = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
service.load_cert_chain(certificate, key)
listener = socket.create_server(("127.0.0.1", 0))
serving = os.fork()
if serving == 0:
    while True:
        try:
            with service.wrap_socket(listener.accept()[0], server_side=True) as one:
                one.sendall(b"welcome")
        except OSError:
            pass

context = client_options("kafka://127.0.0.1", StreamSettings(ca_file=ca_file))["ssl_context"]

def whole(one, step):
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            select.select([one], [], [])

def connect_for_ever():
    while True:
        with socket.create_connection(listener.getsockname()) as plain:
            plain.setblocking(False)
            with context.wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False) as one:
                whole(one, one.do_handshake)
                whole(one, one.recv)

threading.Thread(target=connect_for_ever, daemon=True).start()
hung = 0
for _ in range(int(count)):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        own = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
        try:
            own.do_handshake()
        except ssl.SSLWantReadError:
            os._exit(0)
    hung += os.waitpid(child, 0)[1] != 0
os.kill(serving, signal.SIGKILL)
print(hung)
os._exit(0)
"""
"""An app that forks while a thread of ours connects to brokers again and again; each child begins a handshake."""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no forks")
def test_no_child_waits_for_a_lock_that_our_handshake_held_when_its_parent_forked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one = authority.issue("localhost")
    command = [sys.executable, "-c", FORKS, str(authority.ca_file), str(one.certificate_file), str(one.key_file), "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")
