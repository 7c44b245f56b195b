"""`taskyard webhooks …`: endpoints that are told of changes, and what was sent to them."""

import time
from typing import Annotated

import typer

from taskyard.cli.report import console, exits_cleanly, show
from taskyard.cli.tasks import DEFAULT_API, Api, Json, print_json, reach
from taskyard.client import Webhook, WebhookWithSecret

webhooks = typer.Typer(
    help="Endpoints that are told of changes of tasks, and what was sent to them.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of the webhook.")]
Patterns = Annotated[
    list[str],
    typer.Argument(
        metavar="PATTERN…", help="Of changes, such as 'task.image.*.failed' or 'task.#'."
    ),
]

_FIRST_ATTEMPT_TAKES = 20.0  # seconds, at most: 15 for an answer, and a little until it begins
_LOOK_EVERY = 0.1

_COLUMNS = ("id", "url", "events", "disabled_because")
_DELIVERY_COLUMNS = ("id", "event", "state", "attempts", "response_status", "fault")


@webhooks.command("list")
@exits_cleanly
def list_webhooks(as_json: Json = False, api: Api = DEFAULT_API) -> None:
    """List webhooks, the oldest first."""
    with reach(api) as client:
        found = client.webhooks.list()
    if as_json:
        print_json(found)
        return
    show(found.items, _COLUMNS)


@webhooks.command()
@exits_cleanly
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where changes are sent to by POST.")],
    patterns: Patterns,
    description: Annotated[str, typer.Option(help="For whoever reads the list.")] = "",
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Subscribe an endpoint. Its secret is shown now, and never again."""
    with reach(api) as client:
        made = client.webhooks.add(url, patterns, description=description)
    _show_secret(made, as_json=as_json)


@webhooks.command("show")
@exits_cleanly
def show_webhook(webhook: Id, api: Api = DEFAULT_API) -> None:
    """Show a webhook, whole."""
    with reach(api) as client:
        print_json(client.webhooks.get(webhook))


@webhooks.command()
@exits_cleanly
def rotate(
    webhook: Id,
    overlap: Annotated[
        str | None, typer.Option(help="How long the former secret signs as well; 1d if unsaid.")
    ] = None,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Give a webhook another secret, which is shown now and never again."""
    with reach(api) as client:
        rotated = client.webhooks.rotate(webhook, overlap=overlap)
    _show_secret(rotated, as_json=as_json)


@webhooks.command()
@exits_cleanly
def disable(webhook: Id, api: Api = DEFAULT_API) -> None:
    """Send nothing to a webhook until it is enabled; changes meanwhile are not recorded for it."""
    with reach(api) as client:
        _say(client.webhooks.change(webhook, disabled=True))


@webhooks.command()
@exits_cleanly
def enable(webhook: Id, api: Api = DEFAULT_API) -> None:
    """Send to a webhook again, from now on."""
    with reach(api) as client:
        _say(client.webhooks.change(webhook, disabled=False))


@webhooks.command()
@exits_cleanly
def remove(webhook: Id, api: Api = DEFAULT_API) -> None:
    """Remove a webhook, its log, and what was on its way."""
    with reach(api) as client:
        client.webhooks.remove(webhook)
    console.print(f"{webhook} is removed", markup=False)


@webhooks.command()
@exits_cleanly
def deliveries(
    webhook: Id,
    state: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """List what was sent to a webhook, newest first, and what it answered."""
    with reach(api) as client:
        found = client.webhooks.deliveries(webhook, state=state, limit=limit)
    if as_json:
        print_json(found)
        return
    show(found.items, _DELIVERY_COLUMNS)


@webhooks.command()
@exits_cleanly
def replay(
    webhook: Id,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its webhook-id.")],
    api: Api = DEFAULT_API,
) -> None:
    """Send a delivery once more, with the same webhook-id and body."""
    with reach(api) as client:
        print_json(client.webhooks.replay(webhook, delivery))


@webhooks.command("test")
@exits_cleanly
def try_out(webhook: Id, api: Api = DEFAULT_API) -> None:
    """Send a test to a webhook, show what came of it. Exit code 0 if it was delivered, else 1."""
    with reach(api) as client:
        sent = client.webhooks.test(webhook)
        deadline = time.monotonic() + _FIRST_ATTEMPT_TAKES
        while sent.tried_at is None and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)
            sent = client.webhooks.delivery(webhook, sent.id)
    print_json(sent)
    raise typer.Exit(0 if sent.state == "delivered" else 1)


def _show_secret(made: WebhookWithSecret, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    console.print(f"webhook  {made.id}\nsecret   {made.secret}", markup=False)
    if made.former_secret_until is not None:
        console.print(f"the former one signs as well until {made.former_secret_until:%FT%TZ}")


def _say(webhook: Webhook) -> None:
    state = f"disabled: {webhook.disabled_because}" if webhook.disabled else "enabled"
    console.print(f"{webhook.id} is {state}", markup=False)
