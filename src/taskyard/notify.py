"""Telling a supervisor that this process is ready, by the protocol of sd_notify(3).

`taskyard up` listens for it, and so does systemd for a unit with Type=notify.
"""

import os
import socket


def ready() -> None:
    """Say READY=1 to $NOTIFY_SOCKET, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(b"READY=1")
