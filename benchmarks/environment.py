"""What the peers run on: an environment of their own, and Redis from Debian."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from taskyard.dev.install import ensure

_LOCK = Path(__file__).with_name("requirements.lock")
_PACKAGES = {"redis-server": "redis-server", "redis-cli": "redis-tools"}


def prepare(folder: Path, *, say: Callable[[str], None]) -> Path:
    """Install what is missing; return the peers' environment, made from the lock with its hashes.

    Raises install.Missing with the commands where packages cannot be installed.
    """
    for program, package in _PACKAGES.items():
        if shutil.which(program) is None:
            ensure(package)
    folder = folder.resolve()
    stamp = folder / "lock.sha256"
    wanted = hashlib.sha256(_LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    say(f"installing the peers into {folder} …")
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, folder], check=True)
    subprocess.run(
        [*uv, "pip", "install", "--python", folder, "--require-hashes", "--requirement", _LOCK],
        check=True,
    )
    stamp.write_text(wanted)
    return folder
