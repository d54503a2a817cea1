"""What changes a key, and what does not."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import laboratory
from nsbench.registry.source import SourceNotFound, Sources, source_digest
from nsbench.store.key import differences, least_differences
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.seeds import generator


def plan_of(write_suite, registry, text=None, *overrides):
    path = write_suite(text) if text else write_suite()
    return make_plan(read_suite(path, registry, overrides), registry)


def keys(plan, simulator="learner"):
    trial = next(t for t in plan.trials if t.simulator == simulator)
    found = {f"data/{split}": key.digest for split, key in trial.data.keys.items()}
    found |= {"model": trial.model.digest, "evidence": trial.evidence.digest}
    return found | {f"score/{metric.name}": metric.key.digest for metric in trial.scores}


def changed(before, after):
    return {
        name.partition("/")[0] if name.startswith("score") else name for name in before if before[name] != after[name]
    }


ALL = {"data/train", "data/val", "data/test", "model", "evidence", "score"}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("simulators[1].params.rho=0.3", {"model", "evidence", "score"}),
        ("budget.transitions=50", {"model", "evidence", "score"}),
        ("compute.precision=bfloat16", {"model", "evidence", "score"}),
        ("protocol.horizon=5", {"model", "evidence", "score"}),
        ("protocol.members=2", {"evidence", "score"}),
        ("compute.threads=1", {"evidence", "score"}),
        ("datasets[0].params.train=31", ALL),
        ("seed=1", ALL),
        ("replicates=3", set()),
        ("name=other", set()),
        ("datasets[0].as=renamed", set()),
        ("simulators[0].params.rho=0.3", set()),
        ("tracking.uri=http://127.0.0.1:1", set()),
        ("tracking.enabled=false", set()),
        ("limits={timeout: 1h, memory: 1GB, retries: 1}", set()),
    ],
)
def test_a_change_reaches_exactly_what_is_downstream_of_it(write_suite, registry, override, expected):
    before = keys(plan_of(write_suite, registry))
    assert changed(before, keys(plan_of(write_suite, registry, None, override))) == expected


def test_the_order_of_a_suite_changes_no_key(write_suite, registry):
    from conftest import SUITE

    before = keys(plan_of(write_suite, registry))
    swapped = SUITE.replace("  - {use: coin, as: truth}\n  - {use: learner}\n", "  - {use: learner}\n  - {use: coin}\n")
    swapped = swapped.replace("[length, elbo, wall_clock]", "[wall_clock, length, elbo]")
    assert keys(plan_of(write_suite, registry, swapped)) == before


def test_replicates_share_data_and_differ_in_the_rest(write_suite, registry):
    plan = plan_of(write_suite, registry, None, "replicates=2")
    first, second = (t for t in plan.trials if t.simulator == "learner")
    assert first.data is second.data
    assert first.model.digest != second.model.digest
    assert first.simulate_seed != second.simulate_seed


def test_simulators_meet_the_same_cases_with_the_same_seed(write_suite, registry):
    plan = plan_of(write_suite, registry)
    assert len({tuple(t.simulate_seed) for t in plan.trials}) == 1
    assert len({t.data.keys["test"].digest for t in plan.trials}) == 1


def test_the_floor_of_a_suite_is_the_same_artifact_as_its_anchor(write_suite, registry):
    plan = plan_of(write_suite, registry)
    truth = next(t for t in plan.trials if t.simulator == "truth")
    assert plan.anchors["line", 0].floor.evidence.digest == truth.evidence.digest


def test_evidence_depends_on_the_truth_that_is_asked_beside_it(write_suite, registry):
    plan = plan_of(write_suite, registry)
    truth, learner = (next(t for t in plan.trials if t.simulator == name) for name in ("truth", "learner"))
    assert learner.evidence.fields["truth"] == truth.part.fields()


def test_transfer_is_fitted_on_one_dataset_and_tested_on_another(write_suite, registry):
    from conftest import SUITE

    text = SUITE.replace("simulators:", "  - {use: line, as: longer, fit_on: line, params: {steps: 7}}\nsimulators:")
    trials = {t.id: t for t in plan_of(write_suite, registry, text).trials}
    here, there = trials["line/learner/r0"], trials["longer/learner/r0"]
    assert here.model.digest == there.model.digest
    assert here.evidence.digest != there.evidence.digest


CODE = """
    '''A module.'''
    import numpy as np
    from {package}_helper import scale

    class Mine:
        '''A class.'''

        def rollout(self, x):  # a comment
            return scale(x) + 1
"""
HELPER = "def scale(x):\n    return 2 * x\n"


@pytest.fixture
def package(tmp_path, monkeypatch, request):
    name = f"pkg_{abs(hash(request.node.name)) % 10**8}"
    monkeypatch.syspath_prepend(str(tmp_path))
    edits = itertools.count()

    def write(code=CODE, helper=HELPER):
        for file, text in ((f"{name}.py", textwrap.dedent(code.format(package=name))), (f"{name}_helper.py", helper)):
            (tmp_path / file).write_text(text)
            os.utime(tmp_path / file, ns=(0, next(edits) * 10**9))  # clocks are too coarse to tell two edits apart
        return source_digest([f"{name}:Mine"], [f"{name}_helper"])

    yield write
    assert name not in sys.modules  # the digest is read off the source, nothing is imported


def test_comments_docstrings_and_layout_change_no_digest(package):
    before = package()
    assert package(CODE.replace("# a comment", "").replace("'''A class.'''", "'''Another\n        text.'''")) == before
    assert (
        package(
            CODE.replace(
                "return scale(x) + 1", "return (\n                scale(x)\n                + 1\n            )"
            )
        )
        == before
    )


def test_code_and_helpers_change_the_digest(package):
    before, libraries = package()
    assert libraries.keys() == {"numpy"}
    assert package(CODE.replace("+ 1", "+ 2"))[0] != before
    assert package(helper=HELPER.replace("2 *", "3 *"))[0] != before


def test_a_component_without_source_is_refused():
    with pytest.raises(SourceNotFound, match="sys"):
        source_digest(["sys:exit"], [])


def test_the_lca_does_not_depend_on_torch_and_no_component_on_the_harness(registry):
    libraries = source_digest(["nsbench_lca.dataset:LCADataset"], registry.packages())[1]
    assert libraries.keys() == {"numba", "numba-cuda", "numpy"}
    above = ("commands", "running", "stages", "suite", "registry", "store.store", "outcomes")
    for kind in ("dataset", "simulator", "metric"):
        for name in registry.names(kind):
            modules = Sources(registry.packages()).files(registry.spec(kind, name).code())
            assert not [m for m in modules if m.startswith(tuple(f"nsbench.{package}" for package in above))], name


def test_evidence_depends_on_how_it_is_collected_and_not_on_the_rest_of_the_harness(registry):
    modules = Sources(registry.packages()).files(["nsbench.stages.measuring:collect"])
    components = ("component", "evidence", "protocol", "simulator")
    stages = ("measuring", "costs", "probing", "annealing", "guided", "keeper")
    counted = {*(f"stages.{name}" for name in stages), *(f"components.{name}" for name in components)}
    counted |= {f"components.contracts.{name}" for name in ("broken", "numbers", "simulator")}
    counted |= {f"trajectories.{name}" for name in ("base", "dense", "domain", "fields", "stored")}
    of_latents = (
        "probing",
        "annealing",
        "guided",
        "model",
        "gaussian",
        "states.space",
        "devices",
        "randomness",
    )  # not how they are trained
    counted |= {f"neural.{name}" for name in of_latents}
    assert {name.removeprefix("nsbench.") for name, path in modules.items() if path.name != "__init__.py"} == counted


def test_seeds_make_the_same_numbers_again_and_other_words_others():
    draws = [generator(seed).random() for seed in ([0, "fit", 1], [0, "fit", 1], [0, "fit", 2], [0, "data", 1])]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
    assert 0 <= np.mean(draws) < 1


def test_differences_name_the_field():
    wanted = {"params": {"width": 16, "depth": 2}, "seed": [0]}
    assert differences(wanted, {"params": {"width": 32, "depth": 2}, "seed": [0]}) == [
        "params.width: 16 here, 32 in the store"
    ]


def every_key(plan):
    """{what: digest} of all that a plan would make, anchors and null models included."""
    found = {}
    for trial in plan.trials:
        names = ["data/train", "data/val", "data/test", "model", "evidence", *(f"score/{m.name}" for m in trial.scores)]
        found |= {f"{trial.id}/{n}": k.digest for n, k in zip(names, (a.key for a in trial.artifacts()), strict=True)}
    for (dataset, replicate), anchors in plan.anchors.items():
        trials = {"floor": anchors.floor, "noise-free": anchors.noise_free}
        for name, trial in trials.items():
            if trial is not None:
                found |= {f"{dataset}/{name}/r{replicate}/score/{m.name}": m.key.digest for m in trial.scores}
        for null, its in anchors.nulls.items():
            found |= {f"{dataset}/{null}/r{replicate}/score/{m.name}": m.key.digest for m in its.scores}
    return found


def downstream(kind, name, keys):
    """Which of these keys depend on a component."""
    tests = {
        "dataset": lambda what: what.startswith(f"{name}/"),
        "simulator": lambda what: what.split("/")[1] == name and "/data/" not in what,
        "metric": lambda what: what.endswith(f"/score/{name}"),
        "none": lambda what: False,
    }
    return {what for what in keys if tests[kind](what)}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    made = laboratory.Laboratory(tmp_path / "laboratory")
    monkeypatch.syspath_prepend(str(made.folder))
    yield made
    made.forget()


EDITS = [
    ("{lab}/mine.py", "factor = FACTOR", "factor = 2 * FACTOR", ("simulator", "mine")),
    ("{lab}/base.py", "helper.shift(start)", "helper.shift(start)[::-1]", ("simulator", "mine")),
    ("{lab}/helper.py", "start, 1", "start, 2", ("simulator", "mine")),
    ("{lab}_loose.py", "1", "2", ("simulator", "mine")),
    ("{lab}/params.py", "width: int = 3", "width: int = 4", ("simulator", "mine")),
    ("{lab}/tables.py", "(1, 2)", "(1, 3)", ("simulator", "other")),
    ("{lab}/gap.py", "far(evidence)", "far(reference)", ("metric", "gap")),
    ("{lab}/distance.py", "return 1", "return 2", ("metric", "gap")),
    ("{lab}/sown.py", "SEEDS = 1", "SEEDS = 2", ("dataset", "grown")),
    ("{lab}/grown.py", "seeds = SEEDS", "seeds = -SEEDS", ("dataset", "grown")),
    ("{lab}/base.py", "  # as far as the helper thinks right", "  # or not", ("none", "")),
    ("{lab}/base.py", "A base class.", "The base class.", ("none", "")),
    ("{lab}/base.py", "What simulators of this laboratory have in common.", "In common.", ("none", "")),
    (
        "{lab}/helper.py",
        "return start, 1",
        "return (\n                start,\n                1\n            )",
        ("none", ""),
    ),
    ("{lab}/unused.py", "1", "2", ("none", "")),
]


@pytest.mark.parametrize(("path", "old", "new", "concerned"), EDITS)
def test_an_edit_changes_the_keys_downstream_of_it_and_no_others(lab, write_suite, path, old, new, concerned):
    before = every_key(plan_of(write_suite, lab.registry(), laboratory.SUITE))
    lab.forget()
    lab.edit(path, old, new)
    after = every_key(plan_of(write_suite, lab.registry(), laboratory.SUITE))
    assert {what for what in before if before[what] != after[what]} == downstream(*concerned, before)


@pytest.mark.parametrize(
    ("override", "concerned"),
    [
        ("simulators[1].params.width=7", ("simulator", "mine")),
        ("datasets[1].params.steps=5", ("dataset", "grown")),
    ],
)
def test_a_parameter_changes_the_keys_downstream_of_it_and_no_others(lab, write_suite, override, concerned):
    registry = lab.registry()
    before = every_key(plan_of(write_suite, registry, laboratory.SUITE))
    after = every_key(plan_of(write_suite, registry, laboratory.SUITE, override))
    assert {what for what in before if before[what] != after[what]} == downstream(*concerned, before)


def test_a_seed_changes_every_key(lab, write_suite):
    registry = lab.registry()
    before = every_key(plan_of(write_suite, registry, laboratory.SUITE))
    after = every_key(plan_of(write_suite, registry, laboratory.SUITE, "seed=1"))
    assert not set(before.values()) & set(after.values())


def test_neither_where_things_lie_nor_where_results_go_changes_a_key(lab, write_suite, tmp_path, monkeypatch):
    """Another path of the code and of the suite, another current directory, another MLflow, other cores."""
    before = every_key(plan_of(write_suite, lab.registry(), laboratory.SUITE))
    lab.forget()
    elsewhere = tmp_path / "else where"
    shutil.copytree(lab.folder, elsewhere)
    shutil.rmtree(lab.folder)
    monkeypatch.syspath_prepend(str(elsewhere))
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text = laboratory.SUITE + "tracking: {enabled: false}\n"
    (elsewhere / "copy.yaml").write_text(text)
    registry = lab.registry()
    after = every_key(make_plan(read_suite(elsewhere / "copy.yaml", registry), registry))
    assert after == before


def test_a_shuffled_suite_has_the_same_keys(lab, write_suite):
    registry = lab.registry()
    before = every_key(plan_of(write_suite, registry, laboratory.SUITE))
    lines = laboratory.SUITE.splitlines()
    head, datasets, simulators, rest = lines[:1], lines[1:4], lines[4:8], lines[8:]
    entries = [*datasets[:1], *datasets[:0:-1]], [*simulators[:1], *simulators[:0:-1]]
    shuffled = "\n".join([*rest, *entries[1], *head, *entries[0]]).replace("[length, gap]", "[gap, length]") + "\n"
    assert every_key(plan_of(write_suite, registry, shuffled)) == before


SETS = """
import json
from nsbench.components.component import ComponentSpec, Params
from nsbench.registry.loading import full_params

class Inner(Params):
    words: frozenset[str]

class Outer(Params):
    names: set[str]
    inner: Inner
    both: list[set[int]]

params = {"names": list("snowflake"), "inner": {"words": list("crystal")}, "both": [[8, 3, 5], [1000, 2]]}
print(json.dumps(full_params(ComponentSpec("outer", "sets:Outer", "sets:Outer"), params)))
"""


def test_a_set_has_one_order_in_every_process(tmp_path):
    (tmp_path / "sets.py").write_text(SETS)
    texts = set()
    for seed in "012":
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        command = [sys.executable, "-c", "import sets"]
        texts.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    (text,) = texts
    assert json.loads(text.splitlines()[-1])["both"] == [[3, 5, 8], [1000, 2]]


def test_of_stored_keys_that_differ_as_little_the_one_with_the_same_fields_is_compared_with():
    """Whatever their order: digests, by which the store lists them, say nothing of it."""
    without, other, far = {"variables": {}}, {"variables": {"A": "1"}}, {"variables": {"A": "1", "B": "1"}}
    for stored in itertools.permutations([without, other, far]):
        assert least_differences({"variables": {"A": "2"}}, stored) == ["variables.A: 2 here, 1 in the store"]
    assert least_differences({"variables": {"A": "2"}}, []) is None
