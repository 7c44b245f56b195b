"""Child processes that do not outlive us, and what an earlier run left behind."""

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

_PORTS = range(10_000, 32_000)


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    output: IO[bytes] | int,
    dies_with: signal.Signals = signal.SIGTERM,
    user: str | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own that gets `dies_with` when our thread ends.

    Its own session keeps a terminal's Ctrl-C away from it: stopping it is our business. Call this
    from the main thread: the kernel watches the thread that forked (prctl(2), PR_SET_PDEATHSIG).
    """
    return subprocess.Popen(
        list(map(str, argv)),
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        user=user,
        extra_groups=[] if user else None,
        start_new_session=True,
        preexec_fn=dies_with_us(dies_with),  # noqa: PLW1509 - one system call, no lock
    )


def dies_with_us(how: signal.Signals) -> Callable[[], None]:
    """Return what a child runs before exec, so that the kernel signals it when we are gone."""

    def before_exec() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, how)

    return before_exec


def stop(process: subprocess.Popen[bytes], how: signal.Signals, *, within: float) -> None:
    """Ask a process to stop, and kill its whole group when it does not in time."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            process.wait()
    kill_group(process.pid)


def kill_group(leader: int) -> None:
    """Kill what is left of the group of a process that led its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_orphan(
    pid_file: Path, *, marks: Path, how: signal.Signals = signal.SIGKILL, within: float = 10.0
) -> None:
    """End the process that an earlier, killed run left behind, if it is still ours.

    A number may have gone to another process since: it is ours when `marks` stands in its
    command line or environment.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    if not _is_marked(pid, marks):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
    wait_until(lambda: not _is_marked(pid, marks), within=within, what=f"the end of process {pid}")


def _is_marked(pid: int, marks: Path) -> bool:
    """Return whether a process is ours and alive: one that has ended shows neither of the two."""
    try:
        seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return str(marks).encode() in seen


def wait_until(
    ready: Callable[[], bool],
    *,
    within: float,
    what: str,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Ask again and again whether something is ready.

    Raises TimeoutError when it is not in time, ChildProcessError when it has died.
    """
    deadline = time.monotonic() + within
    while not ready():
        if not alive():
            raise ChildProcessError(f"{what} ended before it was ready")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready within {within:g} s")
        time.sleep(0.05)  # between two questions; the wait is for the answer


def free_port() -> int:
    """Return a port that nobody listens on at this moment.

    It is below those that Linux gives to outgoing connections (ip_local_port_range): one of these
    may have taken it by the time that a server, which needs seconds to start, listens there.
    """
    while not is_free(port := secrets.choice(_PORTS)):
        pass
    return port


def is_free(port: int) -> bool:
    """Return whether a port could be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def secret(path: Path) -> str:
    """Return the password kept in a file that only we can read; make it if there is none."""
    if not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(18).hex())
    return path.read_text()
