"""How true the promise is when a task may start."""

import random
from datetime import datetime
from statistics import fmean, median

from tests.stack import Gateway, Json, until


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_tasks_start_about_when_it_was_said(yard: Gateway) -> None:
    """Most by the time that nine of ten should, and the middle is of the right size.

    How true it is exactly is measured, and printed: a busy machine may fail no test.
    """
    chance = random.Random(11)
    naps = [round(chance.uniform(0.02, 0.2), 3) for _ in range(70)]
    for seconds in naps[:10]:
        yard.submit("quick.nap", {"seconds": seconds})
    explain = {"type": "quick.nap"}
    until(lambda: _place(yard, explain)["starts_p50"] is not None, within=30)
    tasks = [yard.submit("quick.nap", {"seconds": seconds})["id"] for seconds in naps[10:]]
    until(lambda: yard.get(tasks[-1])["place"] is not None)
    told = {each: found["place"] for each in tasks if (found := yard.get(each))["place"]}
    ended = {each: yard.wait(each, within=40) for each in told}
    late, errors = [], []
    for each, place in told.items():
        started, created = _when(ended[each]["started_at"]), _when(ended[each]["created_at"])
        late.append(started > _when(place["starts_p90"]))
        whole = (started - created).total_seconds()
        errors.append(abs((started - _when(place["starts_p50"])).total_seconds()) / whole)
    covered = 1 - fmean(late)
    print(f"{len(told)} told: {covered:.0%} by p90, median error {median(errors):.0%} of the wait")
    assert len(told) >= 10
    assert covered >= 0.5
    assert median(errors) <= 5  # a forecast in seconds of what takes seconds, not in hours


def _place(yard: Gateway, explain: Json) -> Json:
    return dict(yard.http.post("/v1/routes/explain", json=explain).json()["place"])
