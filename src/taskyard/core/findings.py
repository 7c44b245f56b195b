"""Findings: what a check of a deployment came to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check came out: as it should be, to be looked at, or to be mended."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was found, and what to do about it if it is not as it should be."""

    check: str
    verdict: Verdict
    found: str
    advice: str | None = None


def ok(check: str, found: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(check=check, verdict=Verdict.OK, found=found)


def warning(check: str, found: str, advice: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(check=check, verdict=Verdict.WARNING, found=found, advice=advice)


def fault(check: str, found: str, advice: str) -> Finding:
    """Return a finding that something does not work, or is not safe."""
    return Finding(check=check, verdict=Verdict.FAULT, found=found, advice=advice)


def worst(findings: Iterable[Finding]) -> int:
    """Return 0 when all is as it should be, 1 with warnings, 2 with faults."""
    ranks = {verdict: rank for rank, verdict in enumerate(Verdict)}
    return max((ranks[each.verdict] for each in findings), default=0)
