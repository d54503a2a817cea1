"""Findings, which say what is wrong, where, and what would be right; and the running of checks that make them."""

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
from nsbench.registry.process_state import Keeper

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
    """A statement that is to hold, in words, and the function that yields the findings against it."""

    title: str
    run: Callable[[Subject], Iterable[Finding]]


@dataclass(frozen=True)
class Checked:
    """The result of a check. left_out: why the check was not made, "" if it was."""

    title: str
    findings: tuple[Finding, ...]
    left_out: str
    seconds: float

    def lines(self) -> Iterator[str]:
        """The result in plain text: how the check went, and its findings."""
        levels = {finding.level for finding in self.findings}
        word = "–" if self.left_out else "ok"
        word = "FINDING" if "finding" in levels else "note" if levels else word
        yield f"  {word:<8} {self.title}" + (f" ({self.left_out})" if self.left_out else "")
        for finding in self.findings:
            yield f"           {finding.where}: {finding.wrong}"
            yield f"           right: {finding.right}"


@dataclass(frozen=True)
class Report:
    """The results of all checks of a component. about: the component and the data that it was checked on, in words."""

    about: str
    checks: tuple[Checked, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Breaches of the contract, without the notes."""
        return tuple(f for check in self.checks for f in check.findings if f.level == "finding")

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Findings that are no breach of the contract."""
        return tuple(f for check in self.checks for f in check.findings if f.level == "note")

    @property
    def conforms(self) -> bool:
        """True if there is no breach of the contract."""
        return not self.findings

    def lines(self) -> Iterator[str]:
        """The report in plain text."""
        yield self.about
        for check in self.checks:
            yield from check.lines()
        yield self.summary()

    def summary(self) -> str:
        """The counts and the time in a line: "2 findings, 1 note in 3 s"."""
        seconds = sum(check.seconds for check in self.checks)
        counts = [_counted(len(self.findings), "finding"), _counted(len(self.notes), "note")]
        return f"{', '.join(counts)} in {seconds:.0f} s"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class Raised(Exception):
    """A component's method raised, or broke its contract. finding: says so."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.wrong)
        self.finding = finding


class LeftOut(Exception):
    """A check does not apply to this component; the message says why."""


class Blocked(LeftOut):
    """A check cannot be made, for a reason that another check reports."""

    def __init__(self, reason: str = "what it needs is not there") -> None:
        super().__init__(reason)


Tell = Callable[[str], None]
"""A function that is called with each line of a report as it comes."""


def run_checks(about: str, subject: Subject, checks: Iterable[Check[Subject]], tell: Tell) -> Report:
    """Make the checks, in their order; a finding of one stops no other, and what it leaves changed reaches no other."""
    results, keeper = [], Keeper()
    tell(about)
    for check in checks:
        findings: list[Finding] = []
        before, left_out = time.perf_counter(), ""
        try:
            findings.extend(check.run(subject))
        except Raised as raised:
            findings.append(raised.finding)
        except LeftOut as reason:
            left_out = str(reason)
        keeper.put_back()
        results.append(Checked(check.title, tuple(findings), left_out, time.perf_counter() - before))
        for line in results[-1].lines():
            tell(line)
    report = Report(about, tuple(results))
    tell(report.summary())
    return report


@contextmanager
def calling(component: Component, method: str, right: str) -> Iterator[None]:
    """Turn an exception in the block into a finding about that method. right: what it should have done."""
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
    """The place of a method, "mine.py:14 Mine.rollout"; the class's line where it does not define the method."""
    cls = type(component)
    name = f"{cls.__qualname__}.{method}"
    try:
        member: Any = inspect.getattr_static(cls, method)
        function: Any = member.fget if isinstance(member, property) else member
        if function.__module__.startswith("nsbench.components."):
            function = cls
        file, line = inspect.getsourcefile(function), inspect.getsourcelines(function)[1]
    except (AttributeError, OSError, TypeError):
        return f"{cls.__module__}:{name}"
    return f"{Path(file).name}:{line} {name}" if file else f"{cls.__module__}:{name}"


def _raised_at(error: BaseException, component: Component, method: str) -> str:
    """The last line of the component's file that an error went through; its method's line, if there is none."""
    try:
        source = inspect.getsourcefile(type(component))
    except TypeError:
        source = None
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source]
    if source is None or not lines:
        return place_of(component, method)
    return f"{Path(source).name}:{lines[-1]} {type(component).__qualname__}.{method}"
