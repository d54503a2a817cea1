"""Limits as people write them."""

from __future__ import annotations

import signal

import pytest
from pydantic import ValidationError

from nsbench.running.workers.guard import Guard
from nsbench.running.workers.output import Output
from nsbench.suite.reading import read_suite
from nsbench.suite.schema import json_schema
from nsbench.suite.suite import Limits, Suite
from nsbench.suite.yaml import SuiteError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("30 min", 1800), ("2h", 7200), ("1.5h", 5400), ("1d", 86400), (7, 7)],
)
def test_durations(text, seconds):
    assert Limits(timeout=text).timeout == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512e6), ("8GB", 8e9), ("8 GiB", 8 * 2**30), ("1kb", 1000), ("1TB", 1e12), (7, 7)]
)
def test_sizes(text, size):
    assert Limits(memory=text).memory == size


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": "soon"}, {"timeout": 0}, {"timeout": "-1h"}, {"memory": "8G"}, {"memory": "2h"}, {"retries": -1}],
)
def test_what_is_no_limit_is_refused(wrong):
    with pytest.raises(ValidationError):
        Limits(**wrong)


def test_a_wrong_limit_is_named_with_its_line(write_suite, registry):
    from conftest import SUITE

    path = write_suite(SUITE + "limits:\n  timeout: soon\n  memory: 8 apples\n  tries: 3\n")
    with pytest.raises(SuiteError) as error:
        read_suite(path, registry)
    assert str(error.value).splitlines() == [
        f"{path}:11: limits.timeout: must be a duration such as 90s, 30m, 2h or 1d, got 'soon'",
        f"{path}:12: limits.memory: must be a size such as 512MB, 8GB or 8GiB, got '8 apples'",
        f"{path}:13: limits.tries: unknown key; did you mean 'retries'?",
    ]


def test_limits_survive_the_resolved_suite(write_suite, registry, tmp_path):
    from conftest import SUITE

    suite = read_suite(write_suite(SUITE + "limits: {timeout: 2h, memory: 8GB, retries: 2}\n"), registry)
    again = tmp_path / "again.yaml"
    again.write_text(suite.to_yaml())
    assert read_suite(again, registry).limits == suite.limits == Limits(timeout=7200, memory=8 * 10**9, retries=2)


def test_the_schema_takes_words_and_numbers(registry):
    schema = json_schema(registry)
    kinds = [entry.get("type") for entry in schema["$defs"]["Limits"]["properties"]["timeout"]["anyOf"]]
    assert kinds == ["number", "string", "null"]
    assert Suite.model_fields["limits"].default == Limits()


def test_memory_is_limited_also_while_a_job_waits_for_another_process_and_time_is_not(tmp_path):
    sent, sizes = [], [5]

    class Memory:
        def read(self):
            return sizes[0]

    guard = Guard(Limits(timeout=1.0, memory=10), sent.append, Memory(), Output(tmp_path / "log"), begun=0.0)
    guard.wait(True)
    guard.check(1_000.0)
    assert sent == []
    sizes[0] = 11
    guard.check(1_000.0)
    assert (guard.verdict, sent) == ("oom", [signal.SIGKILL])
