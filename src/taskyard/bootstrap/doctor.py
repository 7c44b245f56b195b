"""The examination of a deployment: its environment and files, then its servers."""

import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from taskyard.bootstrap.administration import broker_administration
from taskyard.bootstrap.surroundings import routing
from taskyard.core.findings import Finding, fault, ok, warning
from taskyard.secret_files import FILE_SUFFIX
from taskyard.settings import PREFIX, SETTINGS, Settings

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


async def examine(given: Settings) -> AsyncIterator[Finding]:
    """Yield what is found, check by check."""
    from taskyard.services.doctor import Doctor

    for finding in (*examine_secrets(given), *examine_files(given, os.environ)):
        yield finding
    doctor = Doctor(
        table=routing(given),
        database_url=given.database_url,
        amqp_url=given.amqp_url,
        prefix=given.prefix,
        administration=broker_administration(given),
        keys=given.encryption_keys,
    )
    async for finding in doctor.examine():
        yield finding


def examine_secrets(given: Settings) -> Iterator[Finding]:
    """Yield whether there are the secrets that protect what is stored."""
    if given.key_pepper:
        yield ok("pepper", "is set")
    else:
        found = "is not set: a copy of the database would recognise API keys"
        advice = "set TASKYARD_KEY_PEPPER before the first key is made; another one voids all keys"
        yield (fault if given.production else warning)("pepper", found, advice)
    if given.encryption_keys.active is None and given.production:
        found = "arguments and results are stored plain"
        yield warning("encryption", found, "set TASKYARD_ENCRYPTION_KEYS")


def examine_files(given: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield which files with secrets others may read."""
    files = sorted(_secret_files(given, environ))
    open_to_others = [path for path in files if _is_open(path)]
    for path in open_to_others:
        mode = stat.S_IMODE(path.stat().st_mode)
        yield fault(
            "secret files", f"{path} may be read by others (mode {mode:o})", f"chmod go= {path}"
        )
    if not open_to_others:
        yield ok("secret files", f"{len(files)} files, none of which others may read")


def _secret_files(given: Settings, environ: Mapping[str, str]) -> Iterator[Path]:
    for name, setting in SETTINGS.items():
        variable = PREFIX + name.upper() + FILE_SUFFIX
        if setting.secret and variable in environ:
            yield Path(environ[variable])
    yield from filter(None, (given.amqp_tls_key, given.database_tls_key, given.api_tls_key))
    if given.amqp_users is not None and given.amqp_users.is_dir():
        yield from (path for path in given.amqp_users.iterdir() if path.is_file())


def _is_open(path: Path) -> bool:
    """Whether others may read a file, and reach it: a folder of its owner alone keeps them out."""
    if not path.stat().st_mode & _OTHERS:
        return False
    return bool(path.resolve().parent.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH))
