"""Private servers as a deployment, a demo and these tests use them."""

import asyncio
import os
import signal
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import amqp
import psutil
import psycopg
import pytest

from taskyard.core.errors import Misconfigured
from taskyard.dev import Servers, postgres, processes, rabbitmq, start_servers
from taskyard.dev.install import Missing, ensure
from tests.stack import until

GIVEN = {"database_url": "postgresql://given", "amqp_url": "amqp://given"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(autouse=True)
def servers_may_be_installed(request: pytest.FixtureRequest) -> None:
    """On a laptop without RabbitMQ nothing is installed behind its owner's back."""
    wanted = request.node.get_closest_marker("servers") is not None
    if wanted and os.environ.get("CI") != "true" and not rabbitmq.is_installed():
        pytest.skip("rabbitmq-server is not installed")


def answer(servers: Servers) -> psycopg.Connection:
    return psycopg.connect(servers.database_url, autocommit=True)


def channel(servers: Servers, vhost: str) -> amqp.Channel:
    host, _, password = (
        servers.amqp_url(vhost).removeprefix("amqp://taskyard:").partition("@")[::-1]
    )
    connection = amqp.Connection(
        host.split("/")[0], userid="taskyard", password=password, virtual_host=vhost
    )
    connection.connect()
    return connection.channel()


def keep(servers: Servers, vhost: str) -> None:
    """Leave a durable message in a durable queue."""
    with channel(servers, vhost) as opened:
        opened.queue_declare("kept", durable=True, auto_delete=False)
        opened.basic_publish_confirm(amqp.Message(vhost, delivery_mode=2), routing_key="kept")
        opened.connection.close()


def ours(folder: Path) -> list[psutil.Process]:
    """Return all processes that work for the servers of a folder, wherever they hang."""
    roots = [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if str(folder) in " ".join(process.info["cmdline"] or ())
        or (process.info["environ"] or {}).get("HOME", "").startswith(str(folder))
    ]
    below = [child for root in roots for child in root.children(recursive=True)]
    return list({each.pid: each for each in [*roots, *below]}.values())


def listening(where: list[psutil.Process]) -> set[str]:
    """Return the addresses at which processes accept connections."""
    at = [each for process in where for each in process.net_connections("inet")]
    return {each.laddr.ip for each in at if each.status == psutil.CONN_LISTEN}


def ended(before: list[psutil.Process]) -> bool:
    """Wait until processes have ended; below an init that does not reap they stay as zombies."""
    return until(lambda: not any(map(runs, before)), within=10)


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.servers
@pytest.mark.slow
def test_servers_answer_survive_a_crash_and_leave_nothing_behind(folder: Path) -> None:
    """What was committed or confirmed is there after kill -9; a clean stop ends every process."""
    with start_servers(folder, vhosts=("one", "two")) as servers:
        # Given servers on loopback alone that hold a row and a durable message for each vhost,
        running = ours(folder)
        assert {"postgres", "beam.smp", "epmd"} <= {each.name() for each in running}
        assert listening(running)
        assert all(ip_address(address).is_loopback for address in listening(running))
        with answer(servers) as connection:
            for setting in ("fsync", "synchronous_commit"):
                assert connection.execute(f"SHOW {setting}".encode()).fetchone() == ("on",)
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        for vhost in ("one", "two"):
            keep(servers, vhost)
        # When all of them die at once,
        for each in running:
            each.kill()
        assert ended(running)
    # Then the next ones start on what is left, and it is all there,
    with start_servers(folder, vhosts=("one", "two")) as servers:
        running = ours(folder)
        with answer(servers) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (42,)
        with channel(servers, "two") as opened:
            assert opened.basic_get("kept", no_ack=True).body == "two"
            opened.connection.close()
    # and after a clean stop there is no process left.
    assert ended(running)
    assert ours(folder) == []


@pytest.mark.servers
@pytest.mark.slow
def test_servers_that_still_run_from_an_earlier_run_are_ended(folder: Path) -> None:
    """Nobody else may hold the data while the new ones start."""
    # Given servers whose supervisor is gone without a word,
    orphans = rabbitmq.spawn(folder / "rabbitmq", vhosts=("one",)), postgres.spawn(folder)
    orphans[1].wait_ready()
    left = ours(folder)
    # When the next one starts in the same folder,
    with (
        psycopg.connect(orphans[1].url()) as session,
        start_servers(folder, vhosts=("one",)) as servers,
    ):
        # Then its servers are alone there, and they answer.
        assert ended(left)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        answer(servers).close()
        channel(servers, "one").connection.close()
    for started in (orphans[0].node, orphans[0].names, orphans[1].process):
        started.wait(10)
    assert ours(folder) == []


def test_a_pid_that_has_gone_to_another_process_is_left_alone(folder: Path) -> None:
    """A number in a stale file proves nothing: the process must be marked as ours."""
    (folder / "pid").write_text(f"{os.getpid()}\n")
    processes.end_orphan(folder / "pid", marks=folder)
    script = "import signal; print('begun', flush=True); signal.pause()"
    mine = subprocess.Popen([sys.executable, "-c", script, folder / "data"], stdout=subprocess.PIPE)
    assert mine.stdout is not None
    with mine.stdout:
        assert mine.stdout.readline() == b"begun\n"
    (folder / "pid").write_text(str(mine.pid))
    # Nobody has waited for it yet, so it is a zombie then, as below an init that does not reap.
    processes.end_orphan(folder / "pid", marks=folder / "data")
    assert mine.wait(5) == -signal.SIGKILL
    for text in ("", "none", "999999999"):
        (folder / "pid").write_text(text)
        processes.end_orphan(folder / "pid", marks=folder)
    processes.end_orphan(folder / "no-such-file", marks=folder)


def test_a_folder_serves_one_at_a_time(folder: Path) -> None:
    """The second is told at once who is there; afterwards the folder is free again."""
    with start_servers(folder, **GIVEN) as servers:
        assert (servers.database_url, servers.amqp_url("x")) == tuple(GIVEN.values())
        with (
            pytest.raises(Misconfigured, match=f"in use by process {os.getpid()}; stop that one"),
            start_servers(folder, **GIVEN),
        ):
            pass
    with start_servers(folder, **GIVEN):
        pass


@as_root
@pytest.mark.slow
def test_a_folder_that_only_root_can_reach_serves_too(folder: Path) -> None:
    """Root's Postgres is another user: below a private home its data lie elsewhere."""
    folder.chmod(0o700)
    before = os.umask(0o077)
    place = None
    try:
        with start_servers(folder, amqp_url="amqp://given") as servers:
            with answer(servers) as connection:
                [shown] = connection.execute("SHOW data_directory").fetchone() or ("",)
            place = Path(shown).parent
            assert not place.is_relative_to(folder)
            assert Path(shown).stat().st_mode & 0o077 == 0
            running = servers.postgres.process.pid if servers.postgres else 0
            assert psutil.Process(running).uids().real != 0
    finally:
        os.umask(before)
        if place:
            subprocess.run(["rm", "-r", place], check=True)


@as_root
def test_programs_that_only_root_can_reach_are_copied(folder: Path) -> None:
    """As below a private home, or after an installation under a strict umask."""
    programs, user = folder / "install" / "bin", "nobody"
    programs.mkdir(parents=True, mode=0o700)
    (programs / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.4'\n")
    (programs / "postgres").chmod(0o700)
    binaries, place = postgres._reachable(programs, folder, user)
    try:
        assert binaries.is_relative_to(place)
        subprocess.run([binaries / "postgres"], user=user, cwd="/", check=True, capture_output=True)
        # The next time they are there already.
        made = (binaries / "postgres").stat().st_ino
        assert postgres._reachable(programs, folder, user) == (binaries, place)
        assert (binaries / "postgres").stat().st_ino == made
    finally:
        subprocess.run(["rm", "-r", place], check=True)


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    """The error ends with what its log has to say, and nothing waits for the other server."""
    with start_servers(folder, amqp_url="amqp://given") as servers, answer(servers) as connection:
        [data] = connection.execute("SHOW data_directory").fetchone() or ("",)
    (Path(data) / "global" / "pg_control").unlink()
    with (
        pytest.raises(ChildProcessError, match="Postgres ended before it was ready") as caught,
        start_servers(folder, amqp_url="amqp://given"),
    ):
        pass
    assert "pg_control" in str(caught.value)
    assert ours(folder) == []


def test_what_cannot_be_installed_is_explained(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without apt-get a sentence, without root or sudo the exact commands."""
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(Missing, match="no-such-server is not installed, and there is no apt-get"):
        ensure("no-such-server")
    # A process that is not root, with an apt-get in reach and no sudo.
    (folder / "apt-get").symlink_to("/bin/false")
    script = (
        "import os; from taskyard.dev.install import ensure\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "ensure('no-such-server')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "apt-get update && sudo apt-get install -y no-such-server" in done.stderr


async def test_nothing_listens_where_a_port_is_called_free() -> None:
    """A port is free until somebody listens on it."""
    port = processes.free_port()
    assert processes.is_free(port)
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", port):
        assert not processes.is_free(port)
