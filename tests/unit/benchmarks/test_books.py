"""How the tasks of a peer are counted."""

import importlib.util
import os
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.adapters import deployment
from benchmarks.adapters.deployment import BenchPool
from benchmarks.books import Tallies
from benchmarks.cost import Counts, FrameEar
from taskyard.routing_files import read_routing

_TALLY = Path(__file__).parents[3] / "benchmarks" / "peers" / "tally.py"


def _peers_tally() -> ModuleType:
    """Load what peers count with: it runs in their environment, without this package."""
    spec = importlib.util.spec_from_file_location("peers_tally", _TALLY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tallies_add_up_over_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child that inherits a count begins one of its own."""
    monkeypatch.setenv("PEER_TALLIES", str(tmp_path))
    run, began = _peers_tally().run, datetime.now(UTC)

    run.add(5)
    if (child := os.fork()) == 0:
        run.add(2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    run.add()

    tallies = Tallies(tmp_path)
    assert (tallies.count("run"), tallies.count("taken")) == (8, 0)
    assert began <= tallies.last_at("run") <= datetime.now(UTC)


def test_frames_are_counted_however_they_are_cut() -> None:
    """A publish is a method, a header and a body; the protocol header is no frame."""
    method = b"\x01\x00\x01\x00\x00\x00\x04" + b"\x00\x3c\x00\x28" + b"\xce"
    header = b"\x02\x00\x01\x00\x00\x00\x02" + b"\x00\x3c" + b"\xce"
    body = b"\x03\x00\x01\x00\x00\x00\x03" + b"abc" + b"\xce"
    ack = b"\x01\x00\x01\x00\x00\x00\x04" + b"\x00\x3c\x00\x50" + b"\xce"
    said = b"AMQP\x00\x00\x09\x01" + (method + header + body) * 2 + ack
    counts = Counts()
    ear = FrameEar(counts)

    for at in range(0, len(said), 5):
        ear.hear(said[at : at + 5])

    assert dict(counts.of) == {"frames": 7, "publish": 2, "ack": 1}


def test_the_deployments_that_are_measured_are_valid(tmp_path: Path) -> None:
    """Each pool has its own task and module."""
    pools = [BenchPool(name="bench", window=20_000), BenchPool(name="p1", execution="threads")]

    routing, workers = deployment.write(tmp_path, pools)
    table = read_routing(routing)

    assert table.pools["bench"].window == 20_000
    assert [pool.name for pool, _ in table.pools_for("p1.noop")] == ["p1"]
    assert sorted(each.name for each in workers.iterdir()) == ["bench_bench.py", "bench_p1.py"]
