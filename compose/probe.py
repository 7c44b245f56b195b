"""Is this container's role well? Exit code 0 says yes; used by the health checks.

    probe.py api       the API answers GET /livez
    probe.py broker    a connection to the broker stands

The second is for dispatcher and workers, which listen on no port. Heartbeats make the broker
hang up on a process that is stuck, so a standing connection is a sign of life; reading it from the
kernel costs the broker and the database nothing.
"""

import os
import ssl
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

_TIMEOUT = 4.0  # seconds; less than the health check's own, so that the fault is shown
_ESTABLISHED = "01"  # include/net/tcp_states.h of the Linux kernel
_PORTS = {"amqp": 5672, "amqps": 5671}
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


def api_answers() -> bool:
    """Return whether the API in this container answers its liveness probe."""
    port = os.environ.get("TASKYARD_API_PORT", "8000")
    place, trust = f"://127.0.0.1:{port}/livez", None
    if speaks_tls := bool(os.environ.get("TASKYARD_API_TLS_CERTIFICATE")):
        # It is for the name that clients use, and this never leaves the container.
        trust = ssl._create_unverified_context()  # noqa: S323
    request = urllib.request.Request(("https" if speaks_tls else "http") + place)  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT, context=trust) as reply:  # noqa: S310
        return bool(reply.status == 200)


def broker_connected() -> bool:
    """Return whether this container has a standing connection to the broker's port."""
    url = urlsplit(_amqp_url())
    port = url.port or _PORTS[url.scheme]
    return any(
        connects_to(port, table.read_text(encoding="ascii")) for table in _TABLES if table.exists()
    )


def _amqp_url() -> str:
    """Return the broker's URL, from the environment or from the file that this names."""
    if file := os.environ.get("TASKYARD_AMQP_URL_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return os.environ["TASKYARD_AMQP_URL"]


def connects_to(port: int, table: str) -> bool:
    """Return whether a table in the format of /proc/net/tcp holds a connection to this port."""
    for row in table.splitlines()[1:]:
        _, _, remote, state, *_ = row.split()
        if state == _ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
            return True
    return False


PROBES: Mapping[str, Callable[[], bool]] = {"api": api_answers, "broker": broker_connected}

if __name__ == "__main__":
    sys.exit(0 if PROBES[sys.argv[1]]() else 1)
