"""Limits: what holds over several workers of several pools, also when one of them is killed."""

import os
import signal
import time
from pathlib import Path

from tests.stack import Gateway, until


def most_at_once(lines: list[str], killed: dict[str, float]) -> int:
    """How many attempts ran at the same moment; one that was killed ended then."""
    changes = []
    for line in lines:
        at, what = line.split()[:2]
        changes.append((float(at), 1 if what == "in" else -1))
    out = {line.split()[2] for line in lines if " out " in line}  # one may end as it is killed
    changes += [(at, -1) for name, at in killed.items() if name not in out]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    assert running == 0
    return most


def test_no_more_than_two_pass_at_once_whoever_dies(yard: Gateway, tmp_path: Path) -> None:
    """Of two pools and three workers; a process that is killed on the way frees its place."""
    path = tmp_path / "passage"
    killed = {}
    with yard.worker("quick"):
        ids = [
            yard.submit(f"{pool}.pass", {"path": str(path), "seconds": 0.1})["id"]
            for pool in ("quick", "calm") * 10
        ]
        until(lambda: path.exists() and path.read_text().count("out") > 3)
        while not killed:
            inside = [line for line in path.read_text().splitlines() if " in " in line]
            name, pid = inside[-1].split()[2:]
            if f"out {name} " not in path.read_text() and name.split("/")[0] in ids[::2]:
                os.kill(int(pid), signal.SIGKILL)
                killed[name] = time.monotonic()
        ends = [yard.wait(each, within=60)["state"] for each in ids]
    assert ends == ["succeeded"] * 20
    lines = path.read_text().splitlines()
    assert most_at_once(lines, killed) == 2
    assert sum(" in " in line for line in lines) == 21  # the killed one ran twice
    states = [event["state"] for event in yard.events(ids[-1])]
    assert states.count("running") == 1  # to wait in a line is no attempt
    assert "scheduled" in states


def test_no_more_start_in_a_second_than_the_rate(yard: Gateway, tmp_path: Path) -> None:
    """And what has to wait holds up nobody else of its pool."""
    path = tmp_path / "stamps"
    ids = [yard.submit("quick.stamp", {"path": str(path)})["id"] for _ in range(25)]
    other = yard.run("quick.echo", {"value": 1})
    assert other["state"] == "succeeded"
    assert len(path.read_text().splitlines()) < 25
    for each in ids:
        yard.wait(each)
    stamps = sorted(float(line) for line in path.read_text().splitlines())
    assert len(stamps) == 25
    # The stamp is made a moment after the start: the eleventh comes a second after the first.
    assert min(b - a for a, b in zip(stamps, stamps[10:], strict=False)) > 0.9
    assert stamps[-1] - stamps[0] < 5  # and the rate is used


def test_a_throttled_resource_shrinks_and_its_task_runs_again(yard: Gateway) -> None:
    """Half of its budget is left, and grows back."""
    task = yard.run("quick.overdo")
    assert (task["state"], task["result"], task["error_count"]) == ("succeeded", 2, 1)
    [first, *_] = yard.http.get(f"/v1/tasks/{task['id']}/attempts").json()["items"]
    assert first["error"]["code"] == "throttled"
    found = {each["name"]: each for each in yard.http.get("/v1/resources").json()["items"]}
    fragile, narrow = found["fragile"], found["narrow"]
    assert (fragile["reports"], fragile["budget"]["concurrency"]) == (1, 8)
    assert fragile["allowed"]["concurrency"] in (4, 5)
    assert 0.5 <= fragile["share"] < 1
    assert (narrow["reports"], narrow["share"]) == (0, 1)
