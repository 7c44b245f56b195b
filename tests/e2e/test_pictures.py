"""Pictures of the dashboard for docs/, of real work: part of `make pictures` only."""

import shutil
import socket
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.chromium import chromium, logged_in
from tests.stack import Gateway, gateway

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
DAY = {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}}
NIGHT = {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}}
INPUTS = Path(__file__).parents[2] / "examples" / "files"
# Where it was taken is nobody's business: paths in tracebacks, and the name of the machine.
_WITHOUT_THIS_MACHINE = """(host) => {
    for (const trace of document.querySelectorAll(".error details")) trace.open = false;
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
        texts.currentNode.data = texts.currentNode.data.replaceAll(host, "yard-1");
}"""
PHONE = {"color_scheme": "light", "viewport": {"width": 390, "height": 844}}


@pytest.mark.pictures
@pytest.mark.slow
def test_pictures(server_url: str, amqp_url: str) -> None:
    """Tasks and Task, by day, by night and on a phone."""
    name = f"pictures_{uuid4().hex[:10]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    servers = {
        "TASKYARD_DATABASE_URL": server_url.rsplit("/", 1)[0] + f"/{name}",
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_PREFIX": f"e{uuid4().hex[:8]}",
    }
    with gateway(**servers) as yard, chromium() as browser:
        failed = _work(yard)
        for looks, title in ((DAY, "day"), (NIGHT, "night"), (PHONE, "phone")):
            with logged_in(browser, yard, **looks) as page:
                for path, what in (
                    ("/", "yard"), ("/pools/media", "pool"),
                    ("/tasks", "tasks"), (f"/tasks/{failed}", "task"),
                    ("/charts?last=6h", "charts"),
                ):  # fmt: skip
                    page.goto(path)
                    page.get_by_role("heading", level=1).wait_for()
                    page.evaluate(_WITHOUT_THIS_MACHINE, socket.gethostname())
                    page.screenshot(
                        path=PICTURES / f"{what}-{title}.png", full_page=what != "tasks"
                    )


def _work(yard: Gateway) -> str:
    """Submit work of all kinds; return a task that failed after several attempts."""
    files = Path(yard.env["TASKYARD_STORES"].partition("=")[2])
    shutil.copytree(INPUTS, files, dirs_exist_ok=True)
    (files / "broken.png").write_bytes(b"no picture")
    labels = {"team": "web", "release": "2026-11"}
    failed = yard.submit(
        "image.convert", {"source": "files/broken.png", "format": "webp"},
        labels=labels, delay="1s", priority=7,
    )["id"]  # fmt: skip
    for width in (64, 128, 256, 512):
        thumbnail = {
            "source": "files/coffee.png", "width": width, "target": f"files/{width}.jpeg"
        }  # fmt: skip
        yard.submit("image.thumbnail", thumbnail, labels=labels)
    yard.submit("table.summarize", {"source": "files/airports.csv", "group_by": "state"})
    report = {"source": "files/airports.csv", "title": "Airports", "rows": 200}
    yard.submit("report.render", {**report, "target": "files/a.pdf"}, priority=8)
    yard.submit("report.render", {**report, "target": "files/b.pdf"}, delay="2h")
    convert = {"source": "files/coffee.png", "format": "png", "target": "files/c.png"}
    gone = yard.submit("image.convert", convert, delay="1h")["id"]
    yard.http.post(f"/v1/tasks/{gone}/cancel").raise_for_status()
    for _ in range(2):
        yard.wait(failed, "failed", within=60)
        yard.http.post(f"/v1/tasks/{failed}/replay").raise_for_status()
    yard.wait(failed, "failed", within=60)
    return str(failed)
