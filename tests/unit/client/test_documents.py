"""The client's documents are those of the API, and its two shells are one."""

import inspect
import subprocess
import sys
from typing import Any

import msgspec
import pytest

import taskyard.client
from taskyard.api import (
    dead_letter_views,
    event_views,
    many_task_views,
    place_views,
    pool_views,
    resource_views,
    stream_views,
    views,
    webhook_views,
    why_views,
)
from taskyard.client import (
    AsyncClient,
    Client,
    documents,
    event_documents,
    event_operations,
    many_documents,
    many_operations,
    operations,
    stream_documents,
    webhook_documents,
    webhook_operations,
    yard_documents,
)
from taskyard.client.events import AsyncEvents, Events
from taskyard.client.many import AsyncMany, Many
from taskyard.client.webhooks import AsyncWebhooks, Webhooks
from taskyard.services.event_filter import ParkedFilter
from taskyard.services.many_tasks import ManyRequest, TaskFilter
from taskyard.services.replay_many import ReplayManyRequest
from taskyard.services.submit import Submission
from taskyard.services.webhooks import WebhookChangeRequest
from taskyard.storage import inbox

PAIRS = [
    (documents.Accepted, views.AcceptedView),
    (documents.TaskError, views.TaskError),
    (documents.Progress, views.Progress),
    (documents.Place, place_views.PlaceView),
    (documents.Task, views.TaskView),
    (documents.Why, why_views.WhyView),
    (documents.TaskPage, views.TaskPage),
    (documents.Receipt, views.CancelView),
    (documents.Fault, views.Fault),
    (documents.Problem, views.Problem),
    (documents.BatchItem, views.BatchItem),
    (documents.Batch, views.BatchView),
    (documents.Change, views.EventView),
    (documents.History, views.EventList),
    (documents.Attempt, dead_letter_views.AttemptView),
    (documents.AttemptList, dead_letter_views.AttemptList),
    (documents.ReasonGroup, dead_letter_views.ReasonGroupView),
    (documents.ReasonGroupList, dead_letter_views.ReasonGroupList),
    (documents.ReplayRefusal, dead_letter_views.RefusalView),
    (documents.ReplayReport, dead_letter_views.ReplayView),
    (many_documents.ManyReport, many_task_views.ManyView),
    (many_documents.ManyCancelled, many_task_views.CancelManyView),
    (many_documents.ManyReprioritised, many_task_views.ReprioritiseManyView),
    (many_documents.ManyReplayed, many_task_views.ReplayTasksView),
    (stream_documents.TaskChange, stream_views.ChangeView),
    (stream_documents.LogLine, stream_views.LogLineView),
    (stream_documents.TaskLog, stream_views.LogView),
    (stream_documents.Gap, stream_views.Farewell),
    (yard_documents.RetryPolicy, views.RetryView),
    (yard_documents.Defaults, views.DefaultsView),
    (yard_documents.TaskType, views.TaskTypeView),
    (yard_documents.TaskTypeList, views.TaskTypeList),
    (yard_documents.Candidate, views.Candidate),
    (yard_documents.Explanation, views.ExplanationView),
    (yard_documents.Reckoning, pool_views.ReckoningView),
    (yard_documents.Pause, pool_views.PauseView),
    (yard_documents.Pool, pool_views.PoolView),
    (yard_documents.Worker, pool_views.WorkerView),
    (yard_documents.RunningAttempt, pool_views.RunningView),
    (yard_documents.PoolWhole, pool_views.PoolWhole),
    (yard_documents.PoolList, pool_views.PoolList),
    (yard_documents.Budget, resource_views.BudgetView),
    (yard_documents.Resource, resource_views.ResourceView),
    (yard_documents.ResourceList, resource_views.ResourceList),
    (webhook_documents.Webhook, webhook_views.WebhookView),
    (webhook_documents.WebhookWithSecret, webhook_views.WebhookWithSecret),
    (webhook_documents.WebhookList, webhook_views.WebhookList),
    (webhook_documents.Delivery, webhook_views.DeliveryView),
    (webhook_documents.DeliveryPage, webhook_views.DeliveryPage),
    (event_documents.EventTask, inbox.EventTask),
    (event_documents.EventReceipt, event_views.EventReceipt),
    (event_documents.EventReceiptList, event_views.EventReceiptList),
    (event_documents.LoggedEvent, event_views.LoggedEvent),
    (event_documents.LoggedEventPage, event_views.LoggedEventPage),
    (event_documents.ParkedEvent, event_views.ParkedView),
    (event_documents.ParkedPage, event_views.ParkedPage),
    (event_documents.ParkedProblem, event_views.ParkedProblem),
    (event_documents.ParkedReplayReport, event_views.ParkedReplayView),
    (event_documents.EventReplayReport, event_views.EventReplayView),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_document_has_the_fields_that_the_api_sends(ours: Any, theirs: Any) -> None:
    """No more, so that it decodes, and no fewer, so that nothing is hidden."""
    assert {f.name for f in msgspec.structs.fields(ours)} == {
        f.name for f in msgspec.structs.fields(theirs)
    }
    assert ours.__struct_config__.frozen


def test_every_document_is_compared() -> None:
    """A struct of the client without a pair would be held by nothing."""
    made = {
        each
        for module in (
            documents,
            event_documents,
            many_documents,
            stream_documents,
            webhook_documents,
            yard_documents,
        )
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, msgspec.Struct)
    }
    assert made == {ours for ours, _ in PAIRS}


def test_a_submission_can_say_all_that_the_api_takes() -> None:
    """Options and fields have the same names."""
    taken = {field.name for field in msgspec.structs.fields(Submission)} - {"type", "args"}
    assert set(operations.Options.__annotations__) == taken
    replayed = {field.name for field in msgspec.structs.fields(ReplayManyRequest)} - {"filter"}
    assert set(operations.ReplayOptions.__annotations__) == replayed
    meant = {field.name for field in msgspec.structs.fields(ManyRequest)} - {"filter"}
    assert set(many_operations.ManyOptions.__annotations__) == meant


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (webhook_operations.WebhookChange, WebhookChangeRequest),
        (event_operations.ParkedFilters, ParkedFilter),
        (many_operations.TaskFilters, TaskFilter),
    ],
)
def test_a_change_and_a_filter_can_say_all_that_the_api_takes(said: Any, taken: Any) -> None:
    """Their fields have the same names."""
    assert set(said.__annotations__) == {field.name for field in msgspec.structs.fields(taken)}


@pytest.mark.parametrize(
    ("ordinary", "for_asyncio"),
    [(Client, AsyncClient), (Events, AsyncEvents), (Webhooks, AsyncWebhooks), (Many, AsyncMany)],
)
def test_both_clients_have_the_same_methods(ordinary: type, for_asyncio: type) -> None:
    """Names, parameters and explanations; only await and async iteration differ."""

    def public(kind: type) -> dict[str, Any]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: function for name, function in found if not name.startswith("_")}

    sync, aio = public(ordinary), public(for_asyncio)
    assert set(sync) == set(aio)
    for name, function in sync.items():
        assert list(inspect.signature(function).parameters.values()) == [
            parameter.replace(annotation=inspect.signature(function).parameters[key].annotation)
            for key, parameter in inspect.signature(aio[name]).parameters.items()
        ], name
        assert inspect.getdoc(function) == inspect.getdoc(aio[name]), name


def test_the_public_names_are_those_that_can_be_had() -> None:
    """Each once; the linter keeps them sorted."""
    assert len(taskyard.client.__all__) == len(set(taskyard.client.__all__))
    assert all(getattr(taskyard.client, name) for name in taskyard.client.__all__)


def test_importing_the_client_loads_nothing_heavy() -> None:
    """Not even httpx, until a client is used; and never what only servers need."""
    program = (
        "import sys, taskyard.client as c\n"
        "assert 'httpx' not in sys.modules\n"
        "c.Client, c.AsyncClient\n"
        "heavy = {'celery', 'kombu', 'quart', 'psycopg', 'aio_pika', 'taskyard.core'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a/", "http://", "http://a:b", ""])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    """Not at the first request."""
    with pytest.raises(ValueError, match="is no address of a server"):
        Client(url)


@pytest.mark.parametrize("value", [float("nan"), object(), "\ud800"])
def test_what_json_cannot_say_is_refused_before_it_is_sent(value: Any) -> None:
    """NaN is not turned into null in silence."""
    with pytest.raises((TypeError, ValueError)):
        operations.body_of({"args": {"value": value}})
