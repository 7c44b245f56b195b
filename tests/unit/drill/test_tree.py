"""Processes to strike are found as the kernel shows them."""

import os
import subprocess
import sys

from taskyard.drill import tree

# The leaf tells its own number: between exec and its first line a process has no command line yet.
_LEAF = "import os; print(os.getpid(), flush=True); input()"
_WITH_A_CHILD = (
    f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_LEAF!r}, 'leaf'], check=True)"
)


def test_children_and_their_children_are_found() -> None:
    """Parents come first, and each has its command line; who has ended has none."""
    # Given
    with subprocess.Popen(
        [sys.executable, "-c", _WITH_A_CHILD, "root"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as root:
        assert root.stdin is not None
        assert root.stdout is not None
        leaf = int(root.stdout.readline())
        # Then
        assert root.pid in tree.children(os.getpid())
        below = tree.below(os.getpid())
        assert below.index(root.pid) < below.index(leaf)
        assert tree.command(leaf)[-1] == "leaf"
        root.stdin.write("\n")
    assert tree.command(leaf) == ()
    assert tree.children(root.pid) == []
