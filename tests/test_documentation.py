"""What is documented is there, and what is there is documented."""

from __future__ import annotations

import re
from pathlib import Path

from nsbench import events, hookspecs

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
    assert block.split("```sh\n")[1].split("\n```")[0].endswith("pytest")
