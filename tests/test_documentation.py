"""What is documented is there, and what is there is documented."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from nsbench.components import events
from nsbench.components.dataset import Dataset
from nsbench.components.format import Format
from nsbench.components.metric import Metric
from nsbench.components.simulator import Simulator
from nsbench.registry import hooks as hookspecs
from nsbench.registry.registry import Registry
from nsbench.suite.schema import json_schema
from nsbench.testing.datasets import DATASET_CHECKS
from nsbench.testing.formats import FORMAT_CHECKS
from nsbench.testing.likelihoods import LIKELIHOOD_CHECKS
from nsbench.testing.metrics import METRIC_CHECKS
from nsbench.testing.simulators import COST_CHECKS, SIMULATOR_CHECKS

ROOT = Path(__file__).parents[1]


def hooks() -> list[str]:
    return sorted(name for name in vars(hookspecs) if name.startswith("nsbench_"))


def test_every_hook_has_its_page_and_every_page_its_hook():
    assert sorted(path.stem for path in (ROOT / "docs" / "hooks").glob("*.md")) == hooks()


def test_every_hook_is_exercised_by_a_test():
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("*.py") if path.name != "test_documentation.py")
    assert [hook for hook in hooks() if f"def {hook}(" not in tests] == []


def test_every_event_is_documented():
    page = (ROOT / "docs" / "hooks" / "nsbench_event.md").read_text()
    classes = [c.__name__ for c in vars(events).values() if isinstance(c, type) and issubclass(c, events.Event)]
    assert [name for name in classes if name != "Event" and f"`{name}`" not in page] == []


def test_files_that_the_documents_name_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text()
        named = re.findall(r"`((?:nsbench|plugins|suites|benchmarks|docs)/[\w./-]+\.\w+)`", text)
        named += re.findall(r"\]\((?!http)([^)#]+)\)", text)
        assert [n for n in named if not (ROOT / n).exists() and not (page.parent / n).exists()] == [], page.name


def test_the_continuous_integration_runs_the_readmes_test_command():
    script, readme = (ROOT / ".ci" / "run").read_text(), (ROOT / "README.md").read_text()
    assert "<!-- test command -->" in script
    block = readme.split("<!-- test command -->")[1].split("<!-- end -->")[0]
    assert block.count("\n```sh\n") == 1
    assert block.split("```sh\n")[1].split("\n```")[0].endswith(" && pytest -n 2 --dist loadfile")


def test_every_hook_is_in_the_page_on_plugins_with_a_link_to_its_own():
    page = (ROOT / "docs" / "plugins.md").read_text()
    assert [hook for hook in hooks() if f"| `{hook}` |" not in page or f"(hooks/{hook}.md)" not in page] == []


@pytest.mark.parametrize("base", [Dataset, Simulator, Metric, Format])
def test_every_member_of_a_base_class_is_in_the_page_on_plugins_and_in_its_hooks_own(base):
    members = {name for name in (*vars(base), *vars(base).get("__annotations__", ())) if not name.startswith("_")}
    own = ROOT / "docs" / "hooks" / f"nsbench_{base.__name__.lower()}s.md"
    row = next(
        line for line in (ROOT / "docs" / "plugins.md").read_text().splitlines() if f"| `{base.__name__}`" in line
    )
    assert [name for name in members if f"`{name}" not in row] == []
    optional = {"parts", "part", "conditions"}
    assert [name for name in members - optional if name not in own.read_text()] == []


def test_the_page_on_plugins_names_the_checks_that_there_are():
    page = (ROOT / "docs" / "plugins.md").read_text()
    section = page.split("## What is checked")[1].split("## When a contract")[0]
    documented = re.findall(r"^\| (.+?) \| (?!how \||---)", section, re.MULTILINE)
    suites = (DATASET_CHECKS, SIMULATOR_CHECKS, LIKELIHOOD_CHECKS, COST_CHECKS, METRIC_CHECKS, FORMAT_CHECKS)
    assert sorted(documented) == sorted(check.title for checks in suites for check in checks)


def test_the_suites_name_their_schema_and_it_is_up_to_date():
    """Made by `nsbench schema > suites/schema.json`."""
    schema = json.loads((ROOT / "suites" / "schema.json").read_text())
    assert schema == json_schema(Registry()), "run: nsbench schema > suites/schema.json"
    for suite in (ROOT / "suites").glob("*.yaml"):
        assert suite.read_text().startswith("# yaml-language-server: $schema=schema.json\n"), suite.name


def test_the_tables_of_the_ablations_are_those_of_their_reports():
    """Made by `python docs/ablations/results.py`."""
    results = runpy.run_path(str(ROOT / "docs" / "ablations" / "results.py"))
    page = (ROOT / "docs" / "ablations.md").read_text()
    assert page == results["filled"](page, results["tables"](results["read"]()))
