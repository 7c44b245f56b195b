"""The processes of a running stack, read from /proc: whom to strike."""

from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that are still there."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, file.read_text().split())
        except OSError:
            continue  # the thread has ended meanwhile
    return sorted(found)


def command(pid: int) -> tuple[str, ...]:
    """Return the command line of a process; nothing when it has ended."""
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1])
    except OSError:
        return ()


def below(pid: int) -> list[int]:
    """Return every process below one, parents first."""
    direct = children(pid)
    return direct + [each for child in direct for each in below(child)]
