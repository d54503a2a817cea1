"""What is wrong with a suite is said all at once, with file, line, path and cure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from conftest import SUITE
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.schema import json_schema
from nsbench.suite.suite import Suite
from nsbench.suite.yaml import SuiteError, parse_value

ROOT = Path(__file__).parents[1]


def faults(path, registry, *overrides):
    with pytest.raises(SuiteError) as caught:
        read_suite(path, registry, overrides)
    return [str(fault).replace(str(path.parent) + "/", "") for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seed", "sed: 3", "suite.yaml:10: sed: unknown key; did you mean 'seed'?"),
        ("budget", "budget: {transitions: many}", "suite.yaml:9: budget.transitions: input should be a valid integer, unable to parse string as an integer, got 'many'"),
        ("budget", "budget: {transitions: -1}", "suite.yaml:9: budget.transitions: must be >= 0, got -1"),
        ("budget", "budget: {}", "suite.yaml:9: budget.transitions: is missing"),
        ("protocol", "protocol: {strid: 1}", "suite.yaml:8: protocol.strid: unknown key; did you mean 'stride'?"),
        ("protocol", "protocol: {stride: 1, stride: 2}", "suite.yaml:8: protocol.stride: duplicate key, first given in line 8"),
        ("protocol", "protocol: {decode: loud}", "suite.yaml:8: protocol.decode: must be 'mode' or 'sample', got 'loud'"),
        ("metrics", "metrics: [lenght, elbo]", "suite.yaml:7: metrics[0].use: no metric 'lenght'; did you mean 'length'?"),
        ("metrics", "metrics: elbo", "suite.yaml:7: metrics: input should be a valid list, got 'elbo'"),
        ("  - {use: learner}", "  - {use: learner, params: {rho: 2}}", "suite.yaml:6: simulators[1].params.rho: must be < 1, got 2"),
        ("  - {use: learner}", "  - {use: learner, params: {ro: 0.2}}", "suite.yaml:6: simulators[1].params.ro: unknown key; did you mean 'rho'?"),
        ("  - {use: learner}", "  - {use: coin, as: truth}", "suite.yaml:6: simulators[1]: the name 'truth' is taken (line 5); tell them apart with `as:`"),
        ("  - {use: learner}", "  - {use: learner, on: [lin]}", "suite.yaml:6: simulators[1].on[0]: no dataset 'lin'; did you mean 'line'?"),
        ("  - {use: learner}", "  - {use: learner, as: ../up}", "suite.yaml:6: simulators[1].as: names are letters, digits, '.', '_' and '-', at most 96, got '../up'"),
        ("  - {use: learner}", "  - {as: x}", "suite.yaml:6: simulators[1].use: is missing"),
        ("primary", "primary: lenght", "suite.yaml:10: primary: no metric 'lenght' in this suite; did you mean 'length'?"),
        ("name", "name: !!python/object:os.system x", "suite.yaml:1: name: plain data only, no !!python/object:os.system"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line_its_path_and_what_would_be_right(write_suite, registry, old, new, expected):
    line = next((line for line in SUITE.splitlines() if line.startswith(old)), None)
    path = write_suite(SUITE.replace(line, new) if line else SUITE + new + "\n")
    assert expected in faults(path, registry)


def test_all_faults_come_at_once_in_the_order_of_the_lines(write_suite, registry):
    text = SUITE.replace("line, params: {train: 30}", "line, params: {train: 0, trian: 2}")
    text = text.replace("use: coin", "use: coyn").replace("stride: 1", "stride: x").replace("name: line", "nam: line")
    found = faults(write_suite(text), registry)
    assert [f.split(": ")[0].removeprefix("suite.yaml:") for f in found] == ["1", "1", "3", "3", "5", "8"]


def test_broken_yaml_names_the_line(write_suite, registry):
    assert faults(write_suite(SUITE + "x: [1, 2\ny: {\n"), registry)[0].startswith("suite.yaml:1")


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_says_so(write_suite, registry, text):
    expected = "suite.yaml: the file is empty; a suite needs datasets, simulators and metrics"
    assert faults(write_suite(text), registry) == [expected]


@pytest.mark.parametrize("text", ["- 1\n", "just words\n", "3\n"])
def test_what_is_no_mapping_is_no_suite(write_suite, registry, text):
    assert faults(write_suite(text), registry) == [
        "suite.yaml:1: a suite is a mapping with datasets, simulators, metrics"
    ]


def test_a_missing_file_says_so(tmp_path, registry):
    assert faults(tmp_path / "none.yaml", registry) == ["none.yaml: no such file"]


def test_bytes_that_are_not_text_are_refused(tmp_path, registry):
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00name")
    assert "cannot be read" in faults(tmp_path / "b.yaml", registry)[0]


def test_an_anchor_inside_itself_is_refused(write_suite, registry):
    assert any("may not contain itself" in f for f in faults(write_suite(SUITE + "tracking: &a {uri: *a}\n"), registry))


@pytest.mark.parametrize("number", ["1e-3", "1E-3", "1.0e-3", "0.001", ".001"])
def test_numbers_in_scientific_notation_are_numbers(write_suite, registry, number):
    path = write_suite(SUITE.replace("{use: learner}", f"{{use: learner, params: {{rho: {number}}}}}"))
    assert read_suite(path, registry).simulators[1].params == {"rho": 0.001}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1:30", "1:30 is a number of base 60 to some programs and text to others: write a duration with its unit"),
        ("1:30.5", "1:30.5 is a number of base 60"),
        ("010", "010 has base 8 to some programs and base 10 to others: write the number without the leading 0"),
        ("08", "08 has base 8 to some programs"),
        ("0o10", "0o10 has base 8"),
        ("yes", "yes is a truth value to some programs and text to others: write true or false"),
        ("Off", "Off is a truth value"),
    ],
)
def test_what_the_versions_of_yaml_read_differently_is_refused_with_what_to_write(write_suite, registry, text, message):
    assert any(
        f"suite.yaml:10: seed: {message}" in fault for fault in faults(write_suite(SUITE + f"seed: {text}\n"), registry)
    )
    with pytest.raises(SuiteError, match=message.partition(" ")[0]):
        parse_value(text)
    assert parse_value(f"'{text}'") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("1_000", 1000), ("0x10", 16), ("0b11", 3), ("0", 0), ("-7", -7), ("true", True), ("2026-11-25", "2026-11-25"), ("1e3", 1000.0), ("0.5", 0.5), ("n", "n"), ("null", None)],
)  # fmt: skip
def test_what_can_be_read_one_way_only_is_read_so(text, value):
    assert parse_value(text) == value


def test_a_number_of_base_60_of_any_length_is_refused_at_once(write_suite, registry):
    (fault,) = [f for f in faults(write_suite(SUITE + "seed: 1" + ":1" * 120_000 + "\n"), registry) if "seed" in f]
    assert len(fault) < 300


def test_a_resolved_suite_quotes_what_could_be_misread(write_suite, registry, tmp_path):
    names = ["08", "0o7", "on", "1e3", "7"]
    text = SUITE.replace("  - {use: learner}", "".join(f"  - {{use: learner, as: '{name}'}}\n" for name in names))
    suite = read_suite(write_suite(text), registry)
    (tmp_path / "resolved.yaml").write_text(suite.to_yaml())
    assert read_suite(tmp_path / "resolved.yaml", registry) == suite


def test_scores_have_a_limit_too(write_suite, registry):
    text = SUITE.replace(
        "metrics: [length, elbo, wall_clock]",
        "metrics: [" + ", ".join(f"{{use: length, as: m{k}}}" for k in range(60)) + "]",
    )
    expected = "2,000 trials by 60 metrics; a suite has at most 100,000 scores"
    assert any(expected in fault for fault in faults(write_suite(text + "replicates: 1000\n"), registry))


def test_overrides_are_typed_like_the_file_and_named_when_wrong(write_suite, registry):
    path = write_suite()
    suite = read_suite(path, registry, ["protocol.horizon=5", "simulators[0].params.rho=2e-1", "seed=7"])
    assert (suite.protocol.horizon, suite.protocol.stride, suite.seed) == (5, 1, 7)
    assert suite.simulators[0].params == {"rho": 0.2}
    assert faults(path, registry, "protocol.horizon=0") == [
        "--set protocol.horizon=0: protocol.horizon: must be >= 1, got 0"
    ]
    assert faults(path, registry, "simulators[9].use=x") == ["--set simulators[9].use=x: there is no entry [9]"]
    assert faults(path, registry, "horizon") == ["--set horizon: must be path=value, e.g. protocol.horizon=32"]


def test_extends_overlays_mappings_and_replaces_lists(write_suite, registry):
    write_suite(name="base.yaml")
    path = write_suite("extends: base.yaml\nname: child\nprotocol: {horizon: 3}\nsimulators: [{use: coin}]\n")
    suite = read_suite(path, registry)
    assert (suite.name, suite.protocol.horizon, suite.protocol.stride) == ("child", 3, 1)
    assert [use.name for use in suite.simulators] == ["coin"]


def test_a_fault_in_an_extended_suite_names_the_file_that_it_is_in(write_suite, registry):
    write_suite(SUITE.replace("stride: 1", "stride: 0"), name="base.yaml")
    path = write_suite("extends: base.yaml\nbudget: {transitions: x}\n")
    found = faults(path, registry)
    assert found[0].startswith("base.yaml:8: protocol.stride: must be >= 1")
    assert found[1].startswith("suite.yaml:2: budget.transitions")


def test_a_suite_that_extends_itself_is_refused(write_suite, registry):
    assert "may not extend itself" in faults(write_suite("extends: suite.yaml\n"), registry)[0]


def test_the_first_metric_is_the_primary_one_where_none_is_named(write_suite, registry):
    assert read_suite(write_suite(SUITE), registry).primary_metric == "length"
    assert read_suite(write_suite(SUITE + "primary: elbo\n"), registry).primary_metric == "elbo"


def test_a_grid_is_multiplied_out(write_suite, registry):
    path = write_suite(SUITE.replace("{use: learner}", "{use: learner, grid: {rho: [0.2, 0.3]}}"))
    suite = read_suite(path, registry)
    assert [(use.name, use.params) for use in suite.simulators[1:]] == [
        ("learner-rho_0.2", {"rho": 0.2}),
        ("learner-rho_0.3", {"rho": 0.3}),
    ]


def test_a_wrong_value_in_a_grid_names_the_line_of_its_simulator(write_suite, registry):
    path = write_suite(SUITE.replace("{use: learner}", "{use: learner, grid: {rho: [0.2, 7]}}"))
    assert [f.split(": ")[0] for f in faults(path, registry)] == ["suite.yaml:6"]


def test_a_resolved_suite_reads_back_equal(write_suite, registry):
    suite = read_suite(write_suite(), registry)
    again = read_suite(write_suite(suite.to_yaml(), name="again.yaml"), registry)
    assert again == suite
    assert suite.simulators[1].params == {"rho": None}  # defaults are written out


def test_the_schema_knows_every_installed_component(registry):
    schema = json_schema(registry)
    assert schema["$defs"]["simulator.lca"]["properties"]["sigma"]
    assert "ewd" in schema["properties"]["metrics"]["items"]["anyOf"][1]["enum"]
    text = json.dumps(schema)
    for reference in {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}:
        assert reference in schema["$defs"]


@pytest.mark.parametrize("path", sorted((ROOT / "suites").glob("*.yaml")), ids=lambda p: p.name)
def test_the_suites_that_we_ship_are_right(path, registry):
    suite = read_suite(path, registry)
    assert suite.name == path.stem
    assert isinstance(Suite.model_validate(yaml.safe_load(suite.to_yaml())), Suite)


@pytest.mark.parametrize("name", ["gusts", "grains", "spinodal", "dendrite", "snow-open"])
def test_the_overview_of_all_systems_shares_fits_and_rollouts_with_their_own_suites(registry, name):
    """Though the suites' strides and horizons differ: in the overview each dataset has its own."""
    own, overview = (
        make_plan(read_suite(ROOT / "suites" / f"{suite}.yaml", registry), registry) for suite in (name, "systems")
    )
    evidence = {trial.evidence.digest for trial in own.trials}
    (dataset,) = own.data
    shared = [trial for trial in overview.trials if trial.data.name == dataset]
    assert {trial.simulator for trial in shared} == {
        "floor",
        "noise-free",
        "persistence",
        "unet",
        "cgne-laptop",
        "pns-laptop",
    }
    assert {trial.evidence.digest for trial in shared} <= evidence
