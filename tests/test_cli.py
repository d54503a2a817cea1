"""What a user types and sees."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nsbench.store.checked import read_checked

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "mlflow", "matplotlib", "numba", "scipy", "ot")


COMMAND = [sys.executable, "-m", "nsbench"]


def surroundings(workspace=None, path=()):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    return environment | ({"NSBENCH_WORKSPACE": str(workspace)} if workspace else {})


def nsbench(*arguments, workspace=None, path=()):
    command = [*COMMAND, *map(str, arguments)]
    environment = surroundings(workspace, path) | {"COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False)


def modules_after(*arguments):
    """The modules that a command imported."""
    code = (
        "import sys\nfrom nsbench.commands.main import main\n"
        f"try: main({list(map(str, arguments))!r})\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["plugins"],
        ["info", "cgne"],
        ["schema"],
        ["plan", "suites/smoke.yaml"],
        ["plan", "suites/snow-paper.yaml"],
    ],
    ids=lambda command: " ".join(command),
)
def test_listing_and_planning_import_nothing_heavy(command):
    assert not modules_after(*command) & set(HEAVY)


def test_help_imports_hardly_anything():
    assert not modules_after("--help") & {*HEAVY, "numpy", "pydantic", "rich", "yaml", "pluggy"}


def test_the_commands_are_there():
    text = nsbench("--help").stdout
    for command in (
        "run",
        "plan",
        "prepare",
        "export",
        "export-cases",
        "score",
        "list",
        "info",
        "plugins",
        "new",
        "check",
        "schema",
        "track",
        "ui",
        "compare",
        "report",
    ):
        assert f"  {command} " in text


def test_a_bad_suite_is_explained_and_exits_2(tmp_path):
    suite = tmp_path / "bad.yaml"
    suite.write_text(
        "name: bad\nmetrcs: [ewd]\ndatasets:\n  - {use: lca, params: {size: 3}}\nsimulators: [{use: cgn}]\n"
    )
    for command in ("run", "plan", "prepare"):
        done = nsbench(command, suite, workspace=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines() == [
            f"{suite}:1: budget: is missing",
            f"{suite}:1: metrics: is missing",
            f"{suite}:2: metrcs: unknown key; did you mean 'metrics'?",
            f"{suite}:4: datasets[0].params.size: must be >= 8, got 3",
            f"{suite}:5: simulators[0].use: no simulator 'cgn'; did you mean 'cgne'?",
        ]
    assert os.listdir(tmp_path) == ["bad.yaml"]


def test_a_suite_that_is_not_there_exits_2(tmp_path):
    done = nsbench("run", tmp_path / "none.yaml", workspace=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"{tmp_path / 'none.yaml'}: no such file\n")


def test_a_workspace_that_cannot_be_is_said_in_a_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = nsbench("run", "suites/smoke.yaml", "--no-tracking", workspace=tmp_path / "file" / "deep")
    assert done.returncode == 1
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_info_names_parameters_with_bounds_and_defaults():
    assert "sigma: number >= 0 < 1, default 0.01" in nsbench("info", "lca").stdout
    done = nsbench("info", "cgn")
    assert (done.returncode, done.stderr) == (2, "no component 'cgn'; did you mean 'cgne'?\n")


def test_the_schema_is_json_schema():
    schema = json.loads(nsbench("schema").stdout)
    assert schema["properties"]["simulators"]
    assert schema["$defs"]["simulator.cgne"]["properties"]["width"]["minimum"]


SMALL = [
    *("--set", "budget.transitions=96"),
    *("--set", "datasets[0].params.train=24"),
    *("--set", "datasets[0].params.val=8"),
    *("--set", "datasets[0].params.test={parameters: 6, repeats: 2}"),
    *(
        f"--set=datasets[{k}].params.{value}"
        for k in (1, 2)
        for value in ("train=16", "val=4", "test={cases: 3, repeats: 2}")
    ),
    *("--set", "protocol.bounds.transitions=8"),
    *("--set", "protocol.horizon=12"),
]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A shortened smoke suite, run once in a workspace of its own."""
    workspace = tmp_path_factory.mktemp("smoke")
    done = nsbench("run", "suites/smoke.yaml", *SMALL, workspace=workspace)
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace, done.stdout


def matrices(text):
    """The matrices that a run printed: {dataset: (headings of the columns, lines below)}."""
    found = {}
    for part in text.split("results: ")[0].split("\n\n"):
        lines = part.splitlines()
        rules = [k for k, line in enumerate(lines) if line.strip("─") == "" and line]
        if rules:
            columns = {}  # where a heading ends -> its lines, joined: a name too long for its column is broken
            for line in itertools.filterfalse(re.compile(r" *[\d:]+ (s|min|h)  ").match, lines[: rules[0]]):
                for part in re.finditer(r"\S+(?: \S+)*", line):
                    end = part.end() if part.start() else 0
                    columns[end] = columns.get(end, "") + part[0]
            dataset, *names = (columns[end] for end in sorted(columns))
            found[dataset] = names, lines[rules[0] + 1 :]
    return found


def rows(workspace):
    text = (workspace / "runs" / "smoke" / "results.jsonl").read_text()
    return {row["trial"]: row for row in map(json.loads, text.splitlines())}


def test_a_run_ends_with_its_table_and_says_where_to_look(smoke):
    workspace, output = smoke
    found = matrices(output)
    assert list(found) == ["snow16", "grains16", "mixture16"]
    expected = ["cgne-laptop", "pns-laptop", "floor"]
    assert all(names[:3] == expected and "analogue" in names for names, _ in found.values())
    assert ["noise-free" in names for names, _ in found.values()] == [True, False, False]
    for dataset, (_, lines) in found.items():
        assert [lines[0][:17], lines[1].strip()[:14]] == ["energy_distance ↓", "primary metric"]
        rows = [re.split(r"\s{2,}", line.strip())[0] for line in lines]
        unit = "sites" if dataset == "snow16" else "σ"
        assert {f"crps ↓ {unit}", "wall_clock ↓ ms", "× truth", "fit s", "parameters"} <= set(rows)
    assert max(len(line) for _, lines in found.values() for line in lines) <= 100
    assert "nsbench ui" in output
    assert (workspace / "runs" / "smoke" / "report.md").read_text().startswith("| simulator")


def test_the_long_tables_have_a_row_a_trial_and_a_row_a_score(smoke):
    workspace, _ = smoke
    output = nsbench("report", "suites/smoke.yaml", *SMALL, "--long", workspace=workspace).stdout
    lines = [line for line in output.splitlines() if line.startswith("|")]
    trials = [(name, "snow16") for name in ("floor", "noise-free", "cgne-laptop", "pns-laptop")]
    trials += [
        (name, dataset) for dataset in ("grains16", "mixture16") for name in ("floor", "cgne-laptop", "pns-laptop")
    ]
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines]
    assert [(name, dataset) for name, dataset, _ in cells[2:12]] == trials
    units = {"snow16": "sites", "grains16": "σ", "mixture16": "σ"}
    assert cells[14:24] == [["wall_clock ↓ ms", name, dataset] for name, dataset in trials]
    assert cells[24:] == [[f"crps ↓ {units[dataset]}", name, dataset] for name, dataset in trials]
    for heading in (
        "energy_distance ↓",
        "ewd ↓",
        "floor",
        "elbo ↑",
        "kind",
        "nats/site",
    ):
        assert heading in lines[0]


def test_run_again_prints_the_same_table_and_makes_nothing(smoke):
    workspace, output = smoke
    again = nsbench("run", "suites/smoke.yaml", *SMALL, workspace=workspace)
    assert again.returncode == 0
    assert "0 artifacts to make" in again.stdout
    assert matrices(again.stdout) == matrices(output) != {}


def test_mlflow_holds_a_run_a_trial_with_the_same_numbers(smoke):
    from mlflow import MlflowClient

    workspace, _ = smoke
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("smoke")
    runs = {run.data.tags["nsbench.trial"]: run for run in client.search_runs([experiment.experiment_id])}
    datasets = ("snow16", "grains16", "mixture16")
    common = {f"{dataset}/{name}/r0" for dataset in datasets for name in ("floor", "cgne-laptop", "pns-laptop")}
    assert set(runs) == common | {"snow16/noise-free/r0"}
    for trial, row in rows(workspace).items():
        run = runs[trial]
        assert run.info.run_name == f"{row['simulator']}-r0"
        assert run.data.tags["nsbench.status"] == "ok"
        for score in row["scores"]:
            assert run.data.metrics.get(f"score/{score['metric']}") == score["value"]
    cgne = runs["snow16/cgne-laptop/r0"]
    assert cgne.data.params["simulator"] == "cgne-laptop"
    assert cgne.data.params["sim.width"] == "4"
    assert cgne.data.params["data.size"] == "16"
    assert {"train/loss", "val/elbo", "cost/fit_s", "cost/ms_per_trajectory"} <= cgne.data.metrics.keys()
    names = {file.path for folder in ("", "figures") for file in client.list_artifacts(cgne.info.run_id, folder)}
    assert {"rollouts.gif", "suite.yaml", "figures/ewd.png", "figures/final_states.png"} <= names
    splits = {entry.tags[0].value for entry in cgne.inputs.dataset_inputs}
    assert splits == {"train", "val", "test"}


def test_plan_says_hit_and_why_not(smoke):
    workspace, _ = smoke
    text = nsbench("plan", "suites/smoke.yaml", *SMALL, workspace=workspace).stdout
    assert "miss" not in text.replace("0 misses", "")
    text = nsbench(
        "plan", "suites/smoke.yaml", *SMALL, "--set", "simulators[4].params.width=8", workspace=workspace
    ).stdout
    assert "params.width: 8 here, 4 in the store" in text
    assert text.count("miss ") == 21  # on each dataset the model, its evidence, five scores


@pytest.mark.slow
def test_another_workspace_gives_the_same_scores_to_the_last_bit(smoke, tmp_path):
    done = nsbench("run", "suites/smoke.yaml", *SMALL, "--no-tracking", workspace=tmp_path)
    assert done.returncode == 0
    for trial, row in rows(smoke[0]).items():
        again = rows(tmp_path)[trial]
        for one, other in zip(row["scores"], again["scores"], strict=True):
            if one["metric"] != "wall_clock":
                assert one == other


def test_what_plugins_say_of_themselves_is_printed_as_it_is(tmp_path):
    (tmp_path / "odd_plugin.py").write_text("raise ValueError('[/bold] is no [red]markup')\n")
    info = tmp_path / "odd-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[nsbench]\nodd = odd_plugin\n")
    done = nsbench("plugins", path=[tmp_path])
    assert done.returncode == 0
    assert "ValueError: [/bold] is no [red]markup" in done.stdout
    assert nsbench("run", "suites/smoke.yaml", "--set", "simulators[0].use=od", path=[tmp_path]).stderr.endswith(
        "plugins with errors: odd (ValueError: [/bold] is no [red]markup)\n"
    )


@pytest.mark.slow
def test_ctrl_c_keeps_the_fit_and_says_how_to_go_on(tmp_path):
    long = [*SMALL, "--set", "budget.transitions=500000", "--only", "snow16/cgne-laptop/r0", "--no-tracking"]
    command = [*COMMAND, "run", "suites/smoke.yaml", *long]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=surroundings(tmp_path))

    def journals():
        return list((tmp_path / "work").glob("*/journal.json"))

    while not journals():
        assert run.poll() is None
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "interrupted: the same command goes on from here" in output
    assert rows(tmp_path)["snow16/cgne-laptop/r0"]["status"] == "interrupted"
    journal = json.loads(read_checked(journals()[0]))
    assert journal["seconds"] > 1
    assert [name for name, _, _ in journal["curves"]]


def test_a_workspace_of_an_earlier_nsbench_is_explained_in_one_line(bench, write_suite, registry, monkeypatch):
    """Its keys held the names of modules: nothing is found, and there is one reason for all of it."""
    from nsbench.commands.plan import explain
    from nsbench.registry import source
    from nsbench.suite.session import open_session

    with monkeypatch.context() as earlier:
        earlier.setattr(source, "SCHEME", "")
        bench()
    session = open_session(write_suite(), bench.workspace.root, registry=registry)
    lines = list(map(str, explain(session)))
    stored = sum(len(list((bench.workspace.store / kind).iterdir())) for kind in ("data", "model", "score"))
    told = [line for line in lines if "earlier nsbench" in line]
    assert len(told) == 1
    assert int(told[0].split()[0]) >= stored - 1  # evidence has its code's digest too
    misses = [line for line in lines if "miss" in line and "misses" not in line]
    assert len(misses) == len(session.plan.trials) * 8
    assert [line for line in misses if not line.split()[-1].isalnum()] == []  # no reason beside each of them
    bench()
    assert not [line for line in map(str, explain(session)) if "earlier nsbench" in line]
