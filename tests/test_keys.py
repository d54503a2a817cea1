"""What changes a key, and what does not."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest

from nsbench.plan import differences, make_plan
from nsbench.seeds import generator
from nsbench.source import SourceNotFound, source_digest
from nsbench.suite_reading import read_suite


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

    def write(code=CODE, helper=HELPER):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code.format(package=name)))
        (tmp_path / f"{name}_helper.py").write_text(helper)
        from nsbench import source

        source._closure.cache_clear()
        return source_digest(f"{name}:Mine", [f"{name}_helper"])

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
    with pytest.raises(SourceNotFound, match="math"):
        source_digest("math:sqrt", [])


def test_the_lca_does_not_depend_on_torch_and_no_component_on_the_harness(registry):
    from nsbench.source import _closure

    assert source_digest("nsbench_lca.dataset:LCADataset", registry.packages())[1].keys() == {"numba", "numpy"}
    above = {f"nsbench.{name}" for name in ("cli", "run", "stages", "plan", "suite", "registry", "store", "results")}
    for kind in ("dataset", "simulator", "metric"):
        for name in registry.names(kind):
            modules, _ = _closure(registry.spec(kind, name).target.partition(":")[0], frozenset(registry.packages()))
            assert not above & modules.keys(), name


def test_evidence_depends_on_how_it_is_collected_and_not_on_the_rest_of_the_harness(registry):
    from nsbench.source import _closure

    modules, _ = _closure("nsbench.evidence", frozenset(registry.packages()))
    names = ("evidence", "protocol", "contracts", "components", "trajectories")
    assert modules.keys() == {f"nsbench.{name}" for name in names}


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
