"""The benchmarks can be run: what they do, not how fast it is."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.slow]

_WITHIN = 240


def test_ctrl_c_ends_a_run_with_all_that_it_has_started(tmp_path: Path) -> None:
    """Nothing stays behind, and the exit code says that it was stopped."""
    tmp_path.chmod(0o755)
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "growth-backlog"]
    process = subprocess.Popen([*command, "--folder", str(tmp_path)], stderr=subprocess.PIPE)
    assert process.stderr is not None

    for line in process.stderr:
        if b"starting taskyard" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=_WITHIN)

    assert process.returncode == 130
    mark = str(tmp_path).encode()
    seen = (each / "cmdline" for each in Path("/proc").iterdir() if each.name.isdigit())
    assert not [each for each in seen if mark in _read(each)]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
