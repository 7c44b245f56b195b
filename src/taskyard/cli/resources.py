"""`taskyard resources`: budgets that task types share."""

from taskyard.cli.report import cell, console, exits_cleanly, table
from taskyard.cli.tasks import DEFAULT_API, Api, Json, print_json, reach
from taskyard.client.yard_documents import Budget

_COLUMNS = ("name", "budget", "allowed now", "running", "started", "waiting", "reports", "types")


@exits_cleanly
def resources(as_json: Json = False, api: Api = DEFAULT_API) -> None:
    """Show the resources: their budgets, what of them may be used now, who waits."""
    with reach(api) as client:
        found = client.resources()
    if as_json:
        print_json(found)
        return
    shown = table(_COLUMNS)
    for each in found.items:
        pause = f", paused for {each.paused_for:.0f}s" if each.paused_for else ""
        shown.add_row(
            each.name, _budget(each.budget), _budget(each.allowed) + pause, cell(each.running),
            cell(each.started), cell(each.waiting), cell(each.reports), ", ".join(each.types),
        )  # fmt: skip
    console.print(shown)


def _budget(budget: Budget) -> str:
    parts = (f"{budget.concurrency} at once" if budget.concurrency else None, budget.rate)
    return ", ".join(part for part in parts if part)
