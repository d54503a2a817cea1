"""Broken plugins are listed with their errors and harm nothing else."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from pydantic import field_validator

import nsbench
import toy
from conftest import TOY
from nsbench.components.component import Params
from nsbench.components.events import Notice
from nsbench.components.metric import MetricSpec
from nsbench.components.simulator import Simulator, SimulatorSpec
from nsbench.registry.loading import build, load
from nsbench.registry.registry import BrokenComponent, Plugin, Registry, UnknownComponent
from nsbench.running.run import fan_out
from nsbench.suite.reading import read_suite
from nsbench.suite.yaml import SuiteError


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
    assert registry.names("simulator") == ["amnesiac", "coin", "either", "failing", "learner"]
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


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "coin",
        [1],
        [SimulatorSpec("x", "no colon")],
        [SimulatorSpec("x", None)],
        [SimulatorSpec("x", "toy:Coin", toy.CoinParams)],
        [SimulatorSpec(["x"], "toy:Coin")],
        [SimulatorSpec("", "toy:Coin")],
        [SimulatorSpec("my simulator", "toy:Coin")],
        [SimulatorSpec("x", "toy:Coin", summary=3)],
        [SimulatorSpec("x", "toy:Coin"), SimulatorSpec("x", "toy:Learner")],
    ],
)
def test_nonsense_from_a_hook_is_named(nonsense):
    class Nonsense:
        @nsbench.hookimpl
        def nsbench_simulators(self):
            return nonsense

    registry, plugin = with_plugin(Nonsense())
    assert plugin.error.startswith("nsbench_simulators")
    assert plugin.specs == {}
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
        (SimulatorSpec("x", "nsbench.components.simulator:Simulator"), "abstract"),
        (MetricSpec("x", "test_registry:Undirected"), 'must say its direction, "min" or "max", and its unit'),
    ],
)
def test_a_spec_that_lies_is_refused(spec, message):
    with pytest.raises(BrokenComponent, match=message):
        build("metric" if isinstance(spec, MetricSpec) else "simulator", spec, {})


class Undirected(toy.Length):
    direction = None


class Moody(Params):
    """Parameters whose validator breaks pydantic's rules."""

    mood: str = ""

    @field_validator("mood")
    @classmethod
    def _good(cls, value):
        raise KeyError(value)


def test_parameters_that_fail_in_their_own_way_are_a_fault_of_the_suite(write_suite):
    class Plugin:
        @nsbench.hookimpl
        def nsbench_simulators(self):
            return [SimulatorSpec("moody", "toy:Coin", "test_registry:Moody")]

    registry, _ = with_plugin(Plugin())
    path = write_suite(
        "name: x\ndatasets: [{use: line}]\nsimulators:\n  - {use: moody, params: {mood: bad}}\n"
        "metrics: [length]\nbudget: {transitions: 1}\n"
    )
    with pytest.raises(SuiteError) as error:
        read_suite(path, registry)
    expected = "test_registry:Moody of 'moody' fails on {'mood': 'bad'}: KeyError: 'bad'"
    assert str(error.value) == f"{path}:4: simulators[0].params: {expected}"


def test_components_work_without_the_runner():
    import numpy as np

    lca = load("dataset", "lca", size=16, test={"parameters": 2, "repeats": 2})
    truth = lca.prepare("test", np.random.default_rng(0))
    assert truth.arrival.shape == (4, 16, 16)
    assert isinstance(nsbench.load("simulator", "lca"), Simulator)


def test_a_module_that_ends_the_program_is_listed_and_the_rest_works(tmp_path, monkeypatch):
    (tmp_path / "script_not_plugin.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry([point("script", "script_not_plugin"), TOY])
    assert [plugin.error for plugin in registry.plugins] == ["SystemExit: 3", ""]


def test_a_hook_that_raises_is_named_and_the_others_are_asked():
    class Half(Good):
        @nsbench.hookimpl
        def nsbench_datasets(self):
            raise KeyError("line")

    registry, plugin = with_plugin(Half())
    assert plugin.error == "nsbench_datasets raised KeyError: 'line'"
    assert len(registry.providers("simulator", "coin")) == 2


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (nsbench.API_VERSION, ""),
        (99, f"asks for version 99 of the plugin API; nsbench {nsbench.__version__} speaks 1: install a newer nsbench"),
        (0, "asks for version 0 of the plugin API; nsbench {} speaks 1: the plugin must be brought up to date"),
        ("1", "nsbench_api must be a whole number, the plugin API's version (1); it is '1'"),
    ],
)
def test_a_plugin_may_ask_for_a_version_of_the_api(version, message):
    implementation = Good()
    implementation.nsbench_api = version
    registry, plugin = with_plugin(implementation)
    assert plugin.error == message.format(nsbench.__version__)
    assert len(registry.providers("simulator", "coin")) == (2 if not message else 1)


def test_a_listener_without_an_argument_is_called():
    heard = []

    class Curt:
        @nsbench.hookimpl
        def nsbench_event(self):
            heard.append(True)

    registry, _ = with_plugin(Curt())
    fan_out([], registry)(Notice("hello"))
    assert heard == [True]


def test_a_listener_that_raises_is_reported_and_the_others_hear():
    heard = []

    class Raising:
        @nsbench.hookimpl
        def nsbench_event(self, event):
            heard.append(event)
            raise OSError("deaf")

    registry, _ = with_plugin(Raising())
    told = []
    emit = fan_out([told.append], registry)
    emit(Notice("hello"))
    emit(Notice("bye"))
    fault = Notice("plugin other (other) failed, and is told no more of this run: OSError: deaf")
    assert told == [Notice("hello"), fault, Notice("bye")]
    assert heard == [Notice("hello")]
