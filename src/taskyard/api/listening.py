"""The listening socket: what each connection it takes inherits.

hyper, below granian, has no time limit for writing: a client that asks and never reads would keep
its answer in memory for good. The kernel ends such a connection instead (tcp(7)).
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

UNREAD_FOR = 60_000  # milliseconds in which a client acknowledges nothing, or takes nothing


def cut_silent_readers(port: int) -> int:
    """Have the kernel cut whoever takes nothing; return how many listening sockets there are."""
    found = 0
    for listener in _sockets_at(port):
        with listener:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_FOR)
            found += 1
    return found


def _sockets_at(port: int) -> Iterator[socket.socket]:
    """Yield another handle on each socket of this process that is bound to a port, unconnected."""
    files = Path("/proc/self/fd")
    for entry in list(files.iterdir()) if files.is_dir() else ():
        try:
            opened = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:
            continue  # no socket, or closed meanwhile
        if _is_at(opened, port):
            yield opened
        else:
            opened.close()


def _is_at(opened: socket.socket, port: int) -> bool:
    if opened.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        opened.getpeername()
    except OSError:
        return bool(opened.getsockname()[1] == port)
    return False
