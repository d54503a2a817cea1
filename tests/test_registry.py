"""Broken plugins are listed with their errors and harm nothing else."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import nsbench
from conftest import TOY
from nsbench.components import Simulator, SimulatorSpec
from nsbench.events import Notice
from nsbench.registry import BrokenComponent, Plugin, Registry, UnknownComponent, build, load


def point(name, value):
    return EntryPoint(name, value, "nsbench")


class Good:
    @nsbench.hookimpl
    def nsbench_simulators(self):
        return [SimulatorSpec("coin", "toy:Coin", "toy:CoinParams")]


def with_plugin(implementation):
    registry = Registry([TOY])
    plugin = Plugin("other", "other 1.0", "other")
    registry.plugins.append(plugin)
    registry.register(plugin, implementation)
    return registry, plugin


def test_a_plugin_that_fails_to_import_is_listed_and_the_rest_works():
    registry = Registry([point("broken", "no_such_module"), TOY])
    errors = {plugin.name: plugin.error for plugin in registry.plugins}
    assert "No module named 'no_such_module'" in errors["broken"]
    assert errors["toy"] == ""
    assert registry.names("simulator") == ["amnesiac", "coin", "failing", "learner"]
    with pytest.raises(UnknownComponent, match=r"did you mean 'coin'\?; plugins with errors: broken"):
        registry.spec("simulator", "coins")


def test_a_hook_that_does_not_exist_is_named_with_the_one_that_was_meant():
    class Misnamed(Good):
        @nsbench.hookimpl
        def nsbench_simulator(self):
            return []

    _, plugin = with_plugin(Misnamed())
    assert plugin.error == "no hook is called nsbench_simulator; did you mean 'nsbench_simulators'?"


def test_a_hook_without_its_mark_is_named():
    class Unmarked:
        def nsbench_metrics(self):
            return []

    _, plugin = with_plugin(Unmarked())
    assert plugin.error == "nsbench_metrics is not marked with @nsbench.hookimpl"


@pytest.mark.parametrize("nonsense", [None, "coin", [1], [SimulatorSpec("x", "no colon")]])
def test_nonsense_from_a_hook_is_named(nonsense):
    class Nonsense:
        @nsbench.hookimpl
        def nsbench_simulators(self):
            return nonsense

    registry, plugin = with_plugin(Nonsense())
    assert plugin.error.startswith("nsbench_simulators")
    assert "coin" in registry.names("simulator")


def test_two_plugins_that_claim_one_name_are_both_named_when_it_is_asked_for():
    registry, _ = with_plugin(Good())
    assert registry.spec("simulator", "learner").target == "toy:Learner"
    with pytest.raises(UnknownComponent, match=r"'coin' is claimed by toy .* and other \(other 1.0, other\)"):
        registry.spec("simulator", "coin")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SimulatorSpec("x", "toy:Nothing"), "toy:Nothing cannot be imported"),
        (SimulatorSpec("x", "toy:Length"), "not a subclass of nsbench's Simulator"),
        (SimulatorSpec("x", "toy:Coin", "toy:Coin"), "not a pydantic model"),
        (SimulatorSpec("x", "nsbench.components:Simulator"), "abstract"),
    ],
)
def test_a_spec_that_lies_is_refused(spec, message):
    with pytest.raises(BrokenComponent, match=message):
        build("simulator", spec, {})


def test_components_work_without_the_runner():
    import numpy as np

    lca = load("dataset", "lca", size=16, test={"parameters": 2, "repeats": 2})
    truth = lca.prepare("test", np.random.default_rng(0))
    assert truth.arrival.shape == (4, 16, 16)
    assert isinstance(nsbench.load("simulator", "lca"), Simulator)


def test_a_listener_that_raises_is_reported_and_the_others_hear():
    heard = []

    class Raising:
        @nsbench.hookimpl
        def nsbench_event(self, event):
            heard.append(event)
            raise OSError("deaf")

    registry, _ = with_plugin(Raising())
    assert registry.notify(Notice("hello")) == ["plugin other (other): OSError: deaf"]
    assert heard == [Notice("hello")]
