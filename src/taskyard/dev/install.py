"""Installing what is missing with apt, or saying how."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


class Missing(Exception):
    """Something is not installed, and we may not install it; the message has the commands."""


def ensure(package: str) -> None:
    """Install a Debian package without letting it start a service.

    Raises Missing with the exact commands where we have neither root nor password-less sudo.
    """
    commands = f"sudo apt-get update && sudo apt-get install -y {package}"
    if shutil.which("apt-get") is None:
        raise Missing(f"{package} is not installed, and there is no apt-get here; install it first")
    if os.geteuid() == 0:
        before: list[str] = []
    elif _has_sudo():
        before = ["sudo", "-n"]
    else:
        raise Missing(f"{package} is not installed; install it with:\n    {commands}")
    print(f"taskyard: installing {package} …", file=sys.stderr, flush=True)
    environment = [*before, "env", "DEBIAN_FRONTEND=noninteractive"]
    with tempfile.NamedTemporaryFile() as output:
        try:
            for arguments in (["update", "-q"], ["install", "-y", "-q", package]):
                with _NoServices(before):
                    subprocess.run(
                        [*environment, "apt-get", *arguments],
                        check=True,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
        except subprocess.CalledProcessError as error:
            end = Path(output.name).read_text(errors="replace")[-2000:]
            raise Missing(f"{package} could not be installed; apt-get said:\n{end}") from error


def _has_sudo() -> bool:
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0


class _NoServices:
    """Debian's own way to keep packages from starting services: policy-rc.d answers 101.

    See invoke-rc.d(8). One that is there already is left as it is.
    """

    _policy = Path("/usr/sbin/policy-rc.d")

    def __init__(self, before: list[str]) -> None:
        self._before = before
        self._ours = False

    def __enter__(self) -> None:
        if not self._policy.exists():
            script = (
                f"printf '#!/bin/sh\\nexit 101\\n' > {self._policy} && chmod 755 {self._policy}"
            )
            subprocess.run([*self._before, "sh", "-c", script], check=True)
            self._ours = True

    def __exit__(self, *_: object) -> None:
        if self._ours:
            subprocess.run([*self._before, "rm", "-f", str(self._policy)], check=True)
