"""Draining one worker by its name: it ends what it runs, and leaves."""

from pathlib import Path
from typing import Any

from tests.stack import Gateway, until


def workers(gateway: Gateway, pool: str) -> dict[str, dict[str, Any]]:
    """The workers of a pool by their names."""
    found = gateway.http.get(f"/v1/pools/{pool}").raise_for_status().json()
    return {each["name"]: each for each in found["workers"]}


def test_a_drained_worker_ends_what_it_runs_and_leaves(yard: Gateway, tmp_path: Path) -> None:
    """Exit code 0, its task in its first attempt, and others stay; the audit log says who asked."""
    # Given one more worker of a pool
    before = set(workers(yard, "calm"))
    with yard.worker("calm") as process:
        [name] = until(lambda: set(workers(yard, "calm")) - before)
        # When tasks take all slots of the pool, its own among them
        path, seconds = str(tmp_path / "begun"), 2.0
        args = {"path": path, "seconds": seconds}
        tasks = [yard.submit("calm.pass", args)["id"] for _ in range(4)]
        for each in tasks:
            yard.wait(each, "running", "succeeded")
        own = [each for each in tasks if yard.get(each)["worker"] == name]
        # And it is drained, twice
        for _ in range(2):
            asked = yard.http.post(f"/v1/workers/{name}/drain")
            assert (asked.status_code, asked.json()["name"]) == (202, name)
        # Then it leaves by itself
        assert process.wait(30) == 0
    for each in tasks:
        task = yard.wait(each)
        assert (task["state"], task["attempt"]) == ("succeeded", 1)
    assert own
    until(lambda: name not in workers(yard, "calm"))
    assert before <= set(workers(yard, "calm"))
    entries = yard.http.get("/v1/audit", params={"target": f"worker:{name}"}).json()["items"]
    assert [each["action"] for each in entries] == ["worker.drained"]
    # And there is nobody of that name any more
    gone = yard.http.post(f"/v1/workers/{name}/drain")
    assert (gone.status_code, gone.json()["code"]) == (404, "worker-not-found")
