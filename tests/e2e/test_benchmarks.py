"""The benchmarks can be run: what they do, not how fast it is."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.slow]

_WITHIN = 240


def test_a_quick_look_at_growth_measures_and_reports(tmp_path: Path) -> None:
    """Without the peers: stacks are filled, drained, explained, compared, stopped, and told of."""
    tmp_path.chmod(0o755)
    words = ["--quick", "--api-workers", "1", "--only", "growth-drain", "--only", "growth-plans"]
    command = [sys.executable, "-m", "benchmarks", *words, "--markdown", "--folder", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=False)

    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "bench.json").read_text())
    (drain,) = told["comparisons"]
    assert (drain["ours_is"], drain["peer"]) == (
        "taskyard, 20,000 rows before", "taskyard, 2,000 rows before",
    )  # fmt: skip
    assert min(*drain["our_values"], *drain["peer_values"]) > 0
    (plans,) = told["sheets"]
    claim = next(row for row in plans["rows"] if row[0] == "claim")
    assert 0 < claim[1] <= claim[2] < 100, "the claim reads the table, and not its index"
    assert "| claim |" in (tmp_path / "bench.md").read_text()
    assert "growth: drain of 500 queued tasks" in done.stdout


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
