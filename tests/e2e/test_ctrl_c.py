"""Ctrl-C on a terminal: what runs on ends at once, with exit code 130 and no trace."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.stack import Gateway, deployment, environment, until

_CTRL_C = b"\x03"
_CURSOR_HIDDEN, _CURSOR_SHOWN = b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """A command on a terminal of its own: what it printed so far, and its keyboard."""

    def __init__(self, *words: str, env: dict[str, str]) -> None:
        self._keyboard, screen = pty.openpty()
        os.set_blocking(self._keyboard, False)
        self.printed = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "taskyard", *words],
            env={**env, "TERM": "xterm", "COLUMNS": "100"},
            preexec_fn=partial(os.login_tty, screen),  # noqa: PLW1509 - it takes no lock
        )
        os.close(screen)

    def look(self) -> bytes:
        """Return all that was printed so far."""
        try:
            while more := os.read(self._keyboard, 65536):
                self.printed += more
        except (BlockingIOError, OSError):  # nothing new, or nobody there any more
            pass
        return self.printed

    def press(self, key: bytes) -> None:
        os.write(self._keyboard, key)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        os.close(self._keyboard)


@contextmanager
def terminal(*words: str, env: dict[str, str]) -> Iterator[Terminal]:
    opened = Terminal(*words, env=env)
    try:
        yield opened
    finally:
        opened.close()


def ends_at_ctrl_c(opened: Terminal, ready: Callable[[], object]) -> None:
    """Press Ctrl-C once it is ready: it ends with 130, and says nothing of where it was."""
    until(lambda: ready() or opened.process.poll() is not None)
    assert opened.process.poll() is None, opened.look().decode()
    opened.press(_CTRL_C)
    until(lambda: (opened.look(), opened.process.poll())[1] is not None)
    assert opened.process.returncode == 130
    assert b"Traceback" not in opened.look()
    assert b"Error" not in opened.look()
    assert opened.look().count(_CURSOR_HIDDEN) <= opened.look().count(_CURSOR_SHOWN)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["bar", "json"])
def test_ctrl_c_ends_a_watch(yard: Gateway, options: tuple[str, ...]) -> None:
    """With a bar the cursor is there again."""
    task_id = yard.submit("quick.echo", delay="1h")["id"]
    env = environment(**yard.reach)
    with terminal("watch", task_id, *options, env=env) as opened:
        ends_at_ctrl_c(opened, ready=lambda: b"scheduled" in opened.look())


def test_ctrl_c_ends_a_rehearsal(database_url: str, tmp_path: Path) -> None:
    """In the middle of a statement; the database is rid of it as well."""
    draft = tmp_path / "draft.toml"
    draft.write_text('[[rule]]\nname = "r"\nmatch = "a.b"\ntask = "quick.echo"\n')
    env = environment(
        TASKYARD_DATABASE_URL=database_url,
        TASKYARD_AMQP_URL="amqp://guest:guest@127.0.0.1:1/none",
        **deployment(),
    )
    # Given a rehearsal that cannot go on
    with psycopg.connect(database_url) as locking, psycopg.connect(database_url) as looking:
        looking.autocommit = True
        locking.execute("LOCK TABLE inbox_events IN ACCESS EXCLUSIVE MODE")

        def waiting() -> list[object]:
            return looking.execute(
                "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database() AND application_name = 'taskyard rehearsal'"
            ).fetchall()

        # When somebody presses Ctrl-C, then it ends
        with terminal("events", "rehearse", "--rules", str(draft), env=env) as opened:
            ends_at_ctrl_c(opened, ready=waiting)
            until(lambda: not waiting())


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["live", "json"])
def test_ctrl_c_ends_a_top(database_url: str, options: tuple[str, ...]) -> None:
    """Between two looks; the terminal is as it was."""
    env = environment(
        TASKYARD_DATABASE_URL=database_url,
        TASKYARD_AMQP_URL="amqp://guest:guest@127.0.0.1:1/none",
        **deployment(),
    )
    with terminal("top", *options, env=env) as opened:
        ends_at_ctrl_c(opened, ready=lambda: b"quick" in opened.look())
        assert opened.look().count(b"\x1b[?1049h") == opened.look().count(b"\x1b[?1049l")
