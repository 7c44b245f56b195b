"""compose/Dockerfile: what can be proven of the image's recipe without building it."""

import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from taskyard.settings import PREFIX, SETTINGS

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "compose"

Locked = dict[tuple[str, str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile, its continuation lines joined."""

    keyword: str
    rest: str


def instructions() -> list[Instruction]:
    text = (COMPOSE / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def copied_from_tree() -> list[str]:
    """Return the sources of every COPY that reads the build context, not another stage."""
    found: list[str] = []
    for each in instructions():
        if each.keyword == "COPY" and "--from=" not in each.rest:
            found += shlex.split(each.rest)[:-1]
    return found


def locked(path: Path) -> Locked:
    """Return the hashes of each pinned distribution of a lock, by name and version."""
    text = path.read_text().replace("\\\n", " ")
    pins: Locked = {}
    for line in text.splitlines():
        if pin := re.match(r"(?P<name>[\w.-]+)(\[[\w,]+\])?==(?P<version>[\w.]+)", line):
            key = (canonicalize_name(pin["name"]), pin["version"])
            pins[key] = frozenset(re.findall(r"--hash=(\S+)", line))
    return pins


def test_every_copied_file_exists() -> None:
    """Each source that the Dockerfile copies is in the tree."""
    assert [source for source in copied_from_tree() if not (ROOT / source).exists()] == []


def test_every_copied_file_is_in_the_build_context() -> None:
    """The ignore file lets in exactly what the Dockerfile copies."""
    lines = (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}

    copied = {str(Path(source)) for source in copied_from_tree()}

    assert "*" in lines
    assert let_in == copied


def test_the_image_does_not_run_as_root() -> None:
    """The last USER is a fixed number other than root's, for the user and for the group."""
    user = [each.rest for each in instructions() if each.keyword == "USER"][-1]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_last_stage_installs_nothing() -> None:
    """The final stage has no package installer and takes its environment from the builder."""
    all_of_it = instructions()
    last = max(i for i, each in enumerate(all_of_it) if each.keyword == "FROM")
    final = all_of_it[last + 1 :]

    runs = " ".join(each.rest for each in final if each.keyword == "RUN")

    assert not re.search(r"\b(pip|apt|apt-get|uv|curl|wget)\b", runs)
    assert any(each.keyword == "COPY" and "--from=builder" in each.rest for each in final)


def test_every_base_image_is_pinned() -> None:
    """Each stage starts from one Python on one release of Debian."""
    bases = {each.rest.split()[0] for each in instructions() if each.keyword == "FROM"}

    assert bases == {"python:3.11-slim-bookworm"}


def test_one_image_serves_every_role() -> None:
    """The entry point is the command line; without arguments it serves the API."""
    by_keyword = {each.keyword: each.rest for each in instructions()}

    assert json.loads(by_keyword["ENTRYPOINT"]) == ["taskyard"]
    assert json.loads(by_keyword["CMD"]) == ["api"]
    assert "HEALTHCHECK" in by_keyword


def test_the_image_sets_only_settings_that_exist() -> None:
    """Each TASKYARD_ variable of the Dockerfile is a setting of the engine."""
    known = {PREFIX + name.upper() for name in SETTINGS}

    used = set(re.findall(r"TASKYARD_[A-Z_]+(?==)", (COMPOSE / "Dockerfile").read_text()))

    assert used
    assert used <= known


@pytest.mark.parametrize("lock", ["requirements.lock", "build.lock"])
def test_the_locks_are_hashed_and_name_no_index(lock: str) -> None:
    """Each pinned distribution has its hashes, and none says where to fetch it."""
    pins = locked(COMPOSE / lock)

    assert pins
    assert all(pins.values())
    assert not re.search(r"index|://", (COMPOSE / lock).read_text())


def test_the_image_runs_what_the_tests_ran() -> None:
    """What the image installs has the versions and hashes of the project's own lock."""
    ours, tested = locked(COMPOSE / "requirements.lock"), locked(ROOT / "requirements.lock")

    assert {pin for pin in ours if tested.get(pin) != ours[pin]} == set()


def test_the_image_has_every_dependency_and_no_test_tool() -> None:
    """The lock has what the engine and its own workers need, and nothing that only tests use."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = {name for name, _ in locked(COMPOSE / "requirements.lock")}

    needed = {_name(text) for text in (*project["dependencies"], *extras["workers"])}
    unwanted = {_name(text) for text in (*extras["test"], *extras["dev"])} - needed

    assert needed <= names
    assert not unwanted & names


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)
