"""Inputs of others that grow: time and memory grow no faster than they do, up to the limit at which they are refused.

The default run doubles each input twice; `pytest -m slow -s tests/test_growth.py` goes on to its limit, and prints what
each size took.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

import hostile_files as hostile
from conftest import SUITE
from nsbench.outcomes import file as results_file
from nsbench.submissions.reading import read_rollouts
from nsbench.suite.reading import read_suite
from nsbench_formats import contents
from nsbench_formats.npz import Npz
from nsbench_formats.params import WellParams
from nsbench_formats.well import Well
from nsbench_lca.formats import STEP, read_cgne
from spent import spent

Action = Callable[[], object]


@dataclass(frozen=True)
class Input:
    """An input of others. make: (folder, size, registry) -> what is done with it. first, last: sizes.

    last: the size at which it reaches a limit, or more than anybody has.
    """

    make: Callable
    first: int
    last: int


def suite_of(text, *settings):
    """An action that reads a suite."""

    def make(folder, size, registry) -> Action:
        (folder / "s.yaml").write_text(text(size))
        given = [setting(size) for setting in settings]
        return lambda: read_suite(folder / "s.yaml", registry, given)

    return make


def chain(folder, size, registry):
    """Sixteen suites that extend each other, with `size` keys together."""
    names = [folder / f"s{k}.yaml" for k in range(16)]
    for k, path in enumerate(names):
        own = "".join(f"k{k}_{i}: 1\n" for i in range(size // 16))
        path.write_text(own + (f"extends: s{k + 1}.yaml\n" if k < 15 else SUITE))
    return lambda: read_suite(names[0], registry)


def extended(folder, size, registry):
    (folder / "base.yaml").write_text(SUITE + "".join(f"k{i}: 1\n" for i in range(size // 2)))
    (folder / "s.yaml").write_text("extends: base.yaml\n" + "".join(f"j{i}: 1\n" for i in range(size // 2)))
    return lambda: read_suite(folder / "s.yaml", registry)


def numbers(size, word="x"):
    return ", ".join(f"{word}{k}" for k in range(size))


def fractions(size):
    return ", ".join(str((k + 1) / 10_000) for k in range(size))


def learner(text):
    return SUITE.replace("{use: learner}", text)


def many_on(size):
    """Many datasets, and a simulator that meets as many others."""
    half = size // 2
    datasets = "".join(f"  - {{use: line, as: d{k}}}\n" for k in range(half))
    text = learner(f"{{use: learner, on: [{numbers(half)}]}}")
    return text.replace("  - {use: line, params: {train: 30}}\n", datasets)


def long_keys(size):
    """A long key, and many faults below it."""
    return SUITE + f"{'k' * 900}: {{" + ", ".join(f"a{k}: 010" for k in range(size)) + "}\n"


SUITES = {
    "keys that are extended": Input(extended, 2_000, 16_000),
    "keys of sixteen suites": Input(chain, 2_000, 16_000),
    "unknown keys": Input(suite_of(lambda n: SUITE + "".join(f"key{k}: 1\n" for k in range(n))), 2_000, 32_000),
    "values of a grid": Input(suite_of(lambda n: learner(f"{{use: learner, grid: {{rho: [{fractions(n)}]}}}}")), 500, 8_000),
    "keys under a grid": Input(
        suite_of(lambda n: learner(f"{{use: learner, params: {{{numbers(n, 'p')}}}, grid: {{a: [{numbers(20, '')}]}}}}")), 500, 16_000
    ),
    "unknown metrics": Input(suite_of(lambda n: SUITE.replace("[length,", f"[{numbers(n, 'leng')},")), 500, 32_000),
    "unknown datasets": Input(suite_of(many_on), 500, 4_000),
    "names that are taken": Input(suite_of(lambda n: SUITE.replace("[length,", f"[{', '.join(['length'] * n)},")), 500, 16_000),
    "faults below a long key": Input(suite_of(long_keys), 1_000, 16_000),
    "numbers of base 60": Input(suite_of(lambda n: SUITE + "seed: 1" + ":1" * n + "\n"), 16_000, 500_000),
    "digits": Input(suite_of(lambda n: SUITE + "seed: " + "9" * n + "\n"), 32_000, 1_000_000),
    "digits of a fraction": Input(suite_of(lambda n: SUITE + "seed: 1." + "9" * n + "x\n"), 32_000, 1_000_000),
    "a comment": Input(suite_of(lambda n: SUITE + "# " + "x" * n + "\n"), 64_000, 1_000_000),
    "lines": Input(suite_of(lambda n: SUITE + "\n" * n), 64_000, 1_000_000),
    "a text": Input(suite_of(lambda n: SUITE + "seed: >\n" + "  word\n" * (n // 7)), 64_000, 1_000_000),
    "brackets": Input(suite_of(lambda n: SUITE + "seed: " + "[" * n), 64_000, 1_000_000),
    "anchors": Input(suite_of(lambda n: SUITE + "".join(f"k{k}: &a{k} [*a{k - 1}]\n" if k % 20 else f"k{k}: &a{k} 1\n" for k in range(n))), 500, 4_000),
    "digits of a setting": Input(suite_of(lambda n: SUITE, lambda n: "seed=" + "9" * n), 32_000, 1_000_000),
    "names in a setting": Input(suite_of(lambda n: SUITE, lambda n: ".".join("a" * n) + "=1"), 32_000, 500_000),
}  # fmt: skip


def rollouts_of(change):
    def make(folder, size, registry) -> Action:
        path = hostile.rollouts(folder / "r.h5", lambda file: change(file, size))
        return lambda: read_rollouts(path, hostile.walks(), hostile.PROTOCOL)

    return make


def well_of(change):
    def make(folder, size, registry) -> Action:
        path = hostile.well(folder / "w.h5", lambda file: change(file, size))
        return lambda: Well(WellParams()).read(path, np.arange(2))

    return make


def npz_of(**changed):
    def make(folder, size, registry) -> Action:
        path = hostile.npz(folder / "n.npz", **{name: value(size) for name, value in changed.items()})
        return lambda: Npz(None).read(path, np.arange(2))

    return make


def groups(file, size):
    for k in range(size):
        file.create_group(f"g{k}")


def levels(file, size):
    group = file.id
    for _ in range(size):
        group = h5py.h5g.create(group, b"g")


def frames(file, size):
    """More and more frames, packed as densely as can be."""
    hostile.filled("values", (2, size, 1, 2, 2), chunks=(2, 1 << 12, 1, 2, 2), compression=9)(file)


def chunks(file, size):
    file.create_dataset("more", data=np.ones(size, np.float32), chunks=(4,))


def fields(file, size):
    """The time axis and the field, longer and longer."""
    hostile.filled("t0_fields/u", (2, size, 2, 2), 1, chunks=(1, 1 << 12, 2, 2), compression=9)(file)
    hostile.filled("dimensions/time", (size,), 0, chunks=(1 << 12,), compression=9)(file)


def crystal(folder, size, registry):
    """A crystal of many steps."""
    path = folder / "flake_0123456789"
    path.mkdir()
    with h5py.File(path / "flake_0.h5", "w") as file:
        for name in ("alpha", "beta", "gamma", "theta", "kappa", "mu", "rho"):
            file.attrs[name] = 0.5
        state, side = np.zeros((64, 64), STEP), 64
        state["attachment"][0, 0] = True
        for s in range(size):
            state["attachment"].flat[(s + 1) % (side * 50)] = True
            file.create_dataset(f"step_{s}", data=state, compression="gzip").attrs["step"] = s
        file["flake_final"] = np.ones((side, side, 4), np.float32)
    return lambda: read_cgne(folder)


def files(folder, size, registry):
    (folder / "data").mkdir()
    for k in range(size):
        (folder / "data" / f"{k}.npz").touch()
    return lambda: contents.content_digest(folder / "data")


def results(folder, size, registry):
    path = folder / "results.jsonl"
    path.write_text("\n".join(json.dumps({"trial": f"t{k}", "x": "y" * 100}) for k in range(size)))
    return lambda: results_file.read(path)


DATA = {
    "groups in rollouts": Input(rollouts_of(groups), 2_000, 128_000),
    "groups within each other": Input(rollouts_of(levels), 500, 4_000),
    "frames of rollouts": Input(rollouts_of(frames), 1 << 15, 1 << 21),
    "an attribute of rollouts": Input(
        rollouts_of(lambda file, n: file.attrs.create("a", "x" * n, None, h5py.string_dtype(length=n))), 1 << 18, 1 << 24
    ),
    "texts of an attribute": Input(
        well_of(lambda file, n: file["t1_fields"].attrs.create("field_names", ["x" * 50] * n, None, h5py.string_dtype())), 250, 16_000
    ),
    "names of one field": Input(
        well_of(lambda file, n: file["t0_fields"].attrs.create("field_names", ["u"] * n, None, h5py.string_dtype())), 250, 16_000
    ),
    "chunks in a file": Input(well_of(chunks), 16_000, 256_000),
    "frames of fields": Input(well_of(fields), 1 << 15, 1 << 20),
    "steps of a crystal": Input(crystal, 200, 1_600),
    "zeros in an npz": Input(npz_of(values=lambda n: np.zeros((2, n, 1, 2, 2), np.float32)), 1 << 15, 1 << 20),
    "claims of an npz": Input(npz_of(values=lambda n: hostile.header_bytes((n,), "<f4")), 1 << 24, 1 << 36),
    "a domain in an npz": Input(npz_of(domain=lambda n: np.array('{"shape": [' + "9" * n + "]}")), 1 << 15, 1 << 20),
    "files in a folder": Input(files, 1_000, 16_000),
    "lines of results": Input(results, 4_000, 64_000),
}  # fmt: skip

INPUTS = SUITES | DATA
QUICK = {
    "keys that are extended",
    "values of a grid",
    "unknown datasets",
    "digits",
    "groups in rollouts",
    "claims of an npz",
}
"""Those of which quick runs double the smallest: one of each kind."""

SLACK_SECONDS, SLACK_MEGABYTES = 0.15, 20.0
MOST_TIMES = 1.6
"""The growth of time or memory beyond that of the size which is still called linear: caches, noise."""


def grows_no_faster_than_its_size(given, sizes, folder, registry, name):
    taken = []
    for size in sizes:
        place = Path(folder) / f"{size}"
        place.mkdir()
        figures = spent(given.make(place, size, registry), seconds=60)
        taken.append(figures)
        print(f"{name:>26} {size:>12,} {figures.seconds:9.3f} s {figures.megabytes:9.1f} MB  {figures.said[:60]}")
        assert figures.said not in ("hangs", "died"), name
        assert "MemoryError" not in figures.said, name
    for (small, less), (large, more) in pairwise(zip(sizes, taken, strict=True)):
        times = MOST_TIMES * large / small
        assert more.seconds <= times * less.seconds + SLACK_SECONDS, (name, large)
        assert more.megabytes <= times * less.megabytes + SLACK_MEGABYTES, (name, large)
    times = MOST_TIMES * sizes[-1] / sizes[0]
    assert taken[-1].seconds <= times * taken[0].seconds + SLACK_SECONDS, name
    assert taken[-1].megabytes <= times * taken[0].megabytes + SLACK_MEGABYTES, name


@pytest.mark.parametrize("name", sorted(QUICK))
def test_an_input_of_others_costs_no_more_than_its_size(tmp_path, registry, name):
    given = INPUTS[name]
    grows_no_faster_than_its_size(given, [given.first, 4 * given.first], tmp_path, registry, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_every_input_of_others_costs_no_more_than_its_size_up_to_its_limit(tmp_path, registry, name):
    given, sizes = INPUTS[name], []
    while not sizes or sizes[-1] < given.last:
        sizes.append(2 * sizes[-1] if sizes else given.first)
    grows_no_faster_than_its_size(given, sizes, tmp_path, registry, name)
    print()
