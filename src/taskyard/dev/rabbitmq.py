"""A private RabbitMQ node: own folder, own ports, loopback only."""

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import amqp

from taskyard.broker.users import password_hash
from taskyard.dev import processes
from taskyard.dev.install import ensure

CONTROL = Path("rabbitmq/rabbitmqctl")  # in the folder of the servers: a command for this node
_USER = "taskyard"
_READY_WITHIN = 60.0
_STOP_WITHIN = 3.0
_COMMAND_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class RabbitServer:
    """A running node."""

    port: int
    password: str = field(repr=False)
    log: Path
    node: subprocess.Popen[bytes]
    names: subprocess.Popen[bytes]  # epmd, Erlang's name server
    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    user: str = _USER

    def url(self, vhost: str) -> str:
        """Return the AMQP URL of a virtual host."""
        return f"amqp://{_USER}:{self.password}@127.0.0.1:{self.port}/{vhost}"

    def wait_ready(self, vhost: str) -> None:
        """Return when the node has answered a whole AMQP handshake."""
        try:
            processes.wait_until(
                lambda: self._answers(vhost),
                within=_READY_WITHIN,
                what="RabbitMQ",
                alive=lambda: self.node.poll() is None,
            )
        except (TimeoutError, ChildProcessError) as error:
            raise type(error)(f"{error}; its log ends:\n{processes.tail(self.log)}") from None

    def _answers(self, vhost: str) -> bool:
        try:
            connection = amqp.Connection(
                f"127.0.0.1:{self.port}",
                userid=_USER,
                password=self.password,
                virtual_host=vhost,
                connect_timeout=2,
                read_timeout=5,
            )
            connection.connect()
            connection.close()
        except (OSError, amqp.AMQPError):
            return False
        return True

    def stop(self) -> None:
        """Stop the node, and the name server it used."""
        self.stop_node()
        processes.stop(self.names, signal.SIGKILL, within=_STOP_WITHIN)

    def stop_node(self) -> None:
        """Stop the node alone; `again` starts it anew."""
        processes.stop(self.node, signal.SIGTERM, within=_STOP_WITHIN)

    def again(self) -> "RabbitServer":
        """Start the node again on the same port, after it has ended. Call from the main thread."""
        return replace(self, node=_start_node(self.folder, self.environment))

    def control(self, *command: str) -> str:
        """Run a command of rabbitmqctl against the node, and return what it prints."""
        script = _server_script().parent / "rabbitmqctl"
        done = subprocess.run(
            [script, "--quiet", *command],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=_COMMAND_WITHIN,
            check=False,
        )
        if done.returncode:
            raise ChildProcessError(f"rabbitmqctl {command[0]} failed: {done.stderr.strip()}")
        return done.stdout


def spawn(
    folder: Path,
    *,
    vhosts: Sequence[str],
    more: Mapping[str, str | int] = MappingProxyType({}),
    plugins: Sequence[str] = (),
) -> RabbitServer:
    """Start a node whose data are in `folder`; it is usable after `wait_ready`.

    `more` are entries of its rabbitmq.conf.
    """
    _server_script()
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("node.pid", "epmd.pid"):
        processes.end_orphan(folder / name, marks=folder)
    port, dist_port, epmd_port = (processes.free_port() for _ in range(3))
    password = processes.secret(folder / "password")
    _configure(folder, port=port, password=password, vhosts=vhosts)
    with (folder / "rabbitmq.conf").open("a") as entries:
        entries.writelines(f"{name} = {value}\n" for name, value in more.items())
    (folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
    env = _environment(folder, dist_port=dist_port, epmd_port=epmd_port)
    _write_control(folder / CONTROL.name, env)
    log = folder / "output.log"
    log.unlink(missing_ok=True)
    names = _start_names(log, env, epmd_port)
    (folder / "epmd.pid").write_text(str(names.pid))
    return RabbitServer(
        port=port,
        password=password,
        log=log,
        node=_start_node(folder, env),
        names=names,
        folder=folder,
        environment=env,
    )


def _start_names(log: Path, env: Mapping[str, str], port: int) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        # Run beside the node, and before it: a daemon that it starts itself would stay behind.
        names = processes.spawn(
            ["epmd", "-address", "127.0.0.1", "-port", str(port)],
            env=env,
            output=output,
            dies_with=signal.SIGKILL,
        )
        processes.wait_until(
            lambda: not processes.is_free(port),
            within=_READY_WITHIN,
            what="epmd",
            alive=lambda: names.poll() is None,
        )
    return names


def _start_node(folder: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "output.log").open("ab") as output:
        node = processes.spawn([_server_script()], env=env, output=output)
    (folder / "node.pid").write_text(str(node.pid))
    return node


def _server_script() -> Path:
    """Return the server's own script, installing the server if need be."""
    if (script := _installed_script()) is None:
        ensure("rabbitmq-server")
        script = _installed_script()
    if script is None:
        raise FileNotFoundError("rabbitmq-server was installed, but its script was not found")
    return script


def _installed_script() -> Path | None:
    # Before PATH: what Debian puts there is a wrapper that changes the user.
    debian = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    if debian.exists():
        return debian
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


def _configure(folder: Path, *, port: int, password: str, vhosts: Sequence[str]) -> None:
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\n"
        f"load_definitions = {folder}/definitions.json\n"
        "disk_free_limit.absolute = 50MB\n"
        "log.console = true\n"
        "log.console.level = warning\n"
        "log.file = false\n"
    )
    (folder / "empty.conf").write_text("")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    definitions = folder / "definitions.json"
    definitions.touch(mode=0o600)
    definitions.write_text(
        json.dumps(
            {
                "users": [
                    {
                        "name": _USER,
                        "password_hash": password_hash(password, os.urandom(4)),
                        "hashing_algorithm": "rabbit_password_hashing_sha256",
                        "tags": "administrator",
                    }
                ],
                "vhosts": [{"name": name} for name in vhosts],
                "permissions": [{"user": _USER, "vhost": name, **everything} for name in vhosts],
            }
        )
    )


def _write_control(script: Path, env: Mapping[str, str]) -> None:
    """Write a rabbitmqctl that talks to this node, whatever the environment of its caller."""
    command = _server_script().parent / "rabbitmqctl"
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
    script.write_text(f'#!/bin/sh\n{"".join(lines)}exec {shlex.quote(str(command))} "$@"\n')
    script.chmod(0o700)


def _environment(folder: Path, *, dist_port: int, epmd_port: int) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # The script then becomes the node itself instead of watching over it.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": "taskyard@localhost",
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "empty.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def is_installed() -> bool:
    """Return whether a node could be started without installing anything."""
    return shutil.which("epmd") is not None and _installed_script() is not None
