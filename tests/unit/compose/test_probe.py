"""compose/probe.py: the health checks of the containers."""

import importlib.util
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import trustme

PROBE = Path(__file__).parents[3] / "compose" / "probe.py"

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="containers run Linux")


@pytest.fixture(scope="module")
def probe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe", PROBE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@linux_only
def test_a_standing_connection_is_well(
    probe: ModuleType, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that holds a connection to the broker's port is well."""
    host, port = server.getsockname()
    monkeypatch.setenv("TASKYARD_AMQP_URL", f"amqp://guest@{host}:{port}/")

    with socket.create_connection((host, port)):
        assert probe.broker_connected()


@linux_only
def test_the_url_may_stand_in_a_file(
    probe: ModuleType, server: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a secret that the engine hands out."""
    host, port = server.getsockname()
    (tmp_path / "amqp-url").write_text(f"amqp://guest@{host}:{port}/\n")
    monkeypatch.delenv("TASKYARD_AMQP_URL", raising=False)
    monkeypatch.setenv("TASKYARD_AMQP_URL_FILE", str(tmp_path / "amqp-url"))

    with socket.create_connection((host, port)):
        assert probe.broker_connected()


@linux_only
def test_a_port_that_only_listens_is_not_a_connection(
    probe: ModuleType, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker nobody is connected to does not make the role well."""
    host, port = server.getsockname()
    monkeypatch.setenv("TASKYARD_AMQP_URL", f"amqp://guest@{host}:{port}/")

    assert not probe.broker_connected()


def test_a_closing_connection_is_not_standing(probe: ModuleType) -> None:
    """Only the state ESTABLISHED counts: 08 is CLOSE_WAIT, the broker has hung up."""
    heading = "  sl  local_address rem_address   st tx_queue rx_queue"
    row = "   0: 0100007F:C350 0100007F:1628 {} 00000000:00000000"

    assert probe.connects_to(5672, "\n".join([heading, row.format("01")]))
    assert not probe.connects_to(5672, "\n".join([heading, row.format("08")]))


def test_the_api_is_asked_over_tls_when_it_speaks_nothing_else(
    probe: ModuleType, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever name its certificate is for."""
    issued = trustme.CA().issue_cert("api.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    monkeypatch.setenv("TASKYARD_API_PORT", str(server.getsockname()[1]))
    monkeypatch.setenv("TASKYARD_API_TLS_CERTIFICATE", "/run/secrets/api.pem")

    def answer() -> None:
        client, _ = server.accept()
        with context.wrap_socket(client, server_side=True) as spoken:
            assert spoken.recv(4096).startswith(b"GET /livez")
            spoken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    answering = threading.Thread(target=answer)
    answering.start()
    assert probe.api_answers()
    answering.join()
