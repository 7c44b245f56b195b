"""A throwaway CA, and real servers behind certificates of our choice."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import trustme

NAME = "localhost"
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # Postgres' protocol, section 54.2.11


@dataclass(frozen=True)
class Authority:
    """A CA and the folder that its files are written to."""

    folder: Path
    ca: trustme.CA

    @classmethod
    def made(cls, folder: Path) -> "Authority":
        """Make a CA whose certificate is in a file."""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        return cls(folder, ca)

    @property
    def file(self) -> str:
        """Where its certificate is."""
        return str(self.folder / "ca.pem")

    def issue(
        self, name: str = NAME, *, valid_for: timedelta = timedelta(hours=1)
    ) -> tuple[str, str]:
        """Issue a certificate; return the files with its chain and key."""
        now = datetime.now(UTC)
        leaf = self.ca.issue_cert(
            name, not_before=now - timedelta(days=2), not_after=now + valid_for
        )
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        key.chmod(0o600)
        return str(certificate), str(key)


@contextmanager
def behind_tls(url: str, files: tuple[str, str]) -> Iterator[str]:
    """Put a server behind a proxy that ends TLS; yield the URL that goes through it.

    AMQP begins with TLS at once; Postgres' clients ask for it first.
    """
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as opened:
        serve = partial(_serve, context, parts.port or 0, parts.scheme == "postgresql", opened)
        accepting = threading.Thread(target=_accept, args=(listener, serve))
        accepting.start()
        try:
            scheme = parts.scheme if parts.scheme == "postgresql" else "amqps"
            user, port = parts.netloc.rpartition("@")[0], listener.getsockname()[1]
            yield parts._replace(scheme=scheme, netloc=f"{user}@{NAME}:{port}").geturl()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # shut down: the test is over
            return
        with suppress(OSError):  # a client that does not like our certificate
            serve(client)


def _serve(
    context: ssl.SSLContext, port: int, asks: bool, opened: ExitStack, client: socket.socket
) -> None:
    """Agree on TLS, and pass bytes on both ways until one side ends."""
    with ExitStack() as failed:
        failed.callback(client.close)
        client.settimeout(10)
        if asks:
            assert client.recv(8) == _SSL_REQUEST
            client.sendall(b"S")
        near = context.wrap_socket(client, server_side=True)
        failed.callback(near.close)
        near.settimeout(None)
        far = socket.create_connection(("127.0.0.1", port))
        failed.pop_all()
    for one, other in ((near, far), (far, near)):
        passing = threading.Thread(target=_pass_on, args=(one, other))
        passing.start()
        opened.callback(one.close)
        opened.callback(passing.join)
        opened.callback(_shut, one)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while chunk := one.recv(65_536):
            other.sendall(chunk)
    _shut(one)
    _shut(other)


def _shut(either: socket.socket) -> None:
    with suppress(OSError):
        either.shutdown(socket.SHUT_RDWR)
