"""Findings: what is wrong, where, and what would be right; and the running of checks that make them."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from nsbench.components.component import Component
from nsbench.components.contracts.broken import BrokenContract

Level = Literal["finding", "note"]
Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Finding:
    """A breach of the contract ("finding"), or something that its author should know ("note")."""

    where: str
    wrong: str
    right: str
    level: Level = "finding"

    def __str__(self) -> str:
        return f"{self.where}: {self.wrong}\n    right: {self.right}"


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """One thing that is to hold, in words, and the function that yields what speaks against it."""

    title: str
    run: Callable[[Subject], Iterable[Finding]]


@dataclass(frozen=True)
class Checked:
    """A check that was made. left_out: why it was not, "" if it was."""

    title: str
    findings: tuple[Finding, ...]
    left_out: str
    seconds: float

    def lines(self) -> Iterator[str]:
        """The check in plain text: how it went, and its findings."""
        levels = {finding.level for finding in self.findings}
        word = "–" if self.left_out else "ok"
        word = "FINDING" if "finding" in levels else "note" if levels else word
        yield f"  {word:<8} {self.title}" + (f" ({self.left_out})" if self.left_out else "")
        for finding in self.findings:
            yield f"           {finding.where}: {finding.wrong}"
            yield f"           right: {finding.right}"


@dataclass(frozen=True)
class Report:
    """What the checks of one component found. about: what was checked, on what."""

    about: str
    checks: tuple[Checked, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Breaches of the contract, without the notes."""
        return tuple(f for check in self.checks for f in check.findings if f.level == "finding")

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(f for check in self.checks for f in check.findings if f.level == "note")

    @property
    def conforms(self) -> bool:
        """No breach."""
        return not self.findings

    def lines(self) -> Iterator[str]:
        """The report in plain text."""
        yield self.about
        for check in self.checks:
            yield from check.lines()
        yield self.summary()

    def summary(self) -> str:
        """ "2 findings, 1 note in 3 s"."""
        seconds = sum(check.seconds for check in self.checks)
        counts = [_counted(len(self.findings), "finding"), _counted(len(self.notes), "note")]
        return f"{', '.join(counts)} in {seconds:.0f} s"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


class Raised(Exception):
    """A component's method raised, or broke its contract: the finding that says so."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.wrong)
        self.finding = finding


class LeftOut(Exception):
    """A check that says nothing of this component, with the reason."""


class Blocked(LeftOut):
    """What a check needs is not there, and another check has said why."""

    def __init__(self, reason: str = "what it needs is not there") -> None:
        super().__init__(reason)


Tell = Callable[[str], None]
"""Hears a report's lines as they come."""


def run_checks(about: str, subject: Subject, checks: Iterable[Check[Subject]], tell: Tell) -> Report:
    """Make the checks, in their order; what one of them finds stops no other."""
    done = []
    tell(about)
    for check in checks:
        found: list[Finding] = []
        before, left_out = time.perf_counter(), ""
        try:
            found.extend(check.run(subject))
        except Raised as raised:
            found.append(raised.finding)
        except LeftOut as reason:
            left_out = str(reason)
        done.append(Checked(check.title, tuple(found), left_out, time.perf_counter() - before))
        for line in done[-1].lines():
            tell(line)
    report = Report(about, tuple(done))
    tell(report.summary())
    return report


@contextmanager
def calling(component: Component, method: str, right: str) -> Iterator[None]:
    """Whatever the block raises is a finding about that method. right: what it should have done."""
    try:
        yield
    except (Raised, LeftOut):
        raise
    except BrokenContract as error:
        raise Raised(Finding(place_of(error.component, error.method), error.got, error.right)) from error
    except Exception as error:
        text = f"{method} raised {type(error).__name__}: {' '.join(str(error).split())}"
        raise Raised(Finding(_raised_at(error, component, method), text, right)) from error


def place_of(component: Component, method: str) -> str:
    """ "mine.py:14 Mine.rollout"; the class's own line where it does not define the method."""
    cls = type(component)
    name = f"{cls.__qualname__}.{method}"
    try:
        member: Any = inspect.getattr_static(cls, method)
        function: Any = member.fget if isinstance(member, property) else member
        if function.__module__ in ("nsbench.components.component", "nsbench.components.format"):
            function = cls
        file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    except (AttributeError, OSError, TypeError):
        return f"{cls.__module__}:{name}"
    return f"{Path(file).name}:{line} {name}" if file else f"{cls.__module__}:{name}"


def _raised_at(error: BaseException, component: Component, method: str) -> str:
    """The last of the component's own lines that an error went through; its method, if there is none."""
    try:
        own = inspect.getsourcefile(type(component))
    except TypeError:
        own = None
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    if own is None or not lines:
        return place_of(component, method)
    return f"{Path(own).name}:{lines[-1]} {type(component).__qualname__}.{method}"
