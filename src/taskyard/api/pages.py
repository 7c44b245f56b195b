"""Pages of tasks, as they are shown."""

from taskyard.api.render import task_view
from taskyard.api.request import to_cursor
from taskyard.api.views import TaskPage
from taskyard.storage.task_pages import Page


def page_view(page: Page) -> TaskPage:
    """Return a page of tasks as it is shown, with where the next one begins."""
    cursor = to_cursor(page.tasks[-1].id) if page.more and page.tasks else None
    return TaskPage(items=[task_view(task) for task in page.tasks], next_cursor=cursor)
