"""A plugin that is one file: found by its name everywhere, part of the keys, and refused with a line where it is wrong."""

from __future__ import annotations

import os
import sys

import pytest

from nsbench.commands.main import main
from nsbench.registry.loading import build
from nsbench.registry.plugin_files import VARIABLE, name_files, named_files
from nsbench.registry.registry import Registry
from nsbench.registry.source import source_digest
from test_cli import nsbench

MODULE = """\
from nsbench import hookimpl
from nsbench.components.simulator import Simulator, SimulatorSpec
from {helper} import steps_of

class Still(Simulator):
    def rollout(self, start, steps, rng):
        return start.select(slice(0, steps_of(start)))

@hookimpl
def nsbench_simulators():
    return [SimulatorSpec("still", "{name}:Still")]
"""


@pytest.fixture
def plugin_file(tmp_path, monkeypatch):
    """A plugin in a file that imports a helper beside it; names that no other test uses."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    (tmp_path / "still_helper.py").write_text("def steps_of(start):\n    return len(start)\n")
    path = tmp_path / "still_plugin.py"
    path.write_text(MODULE.format(helper="still_helper", name="still_plugin"))
    yield path
    for name in set(sys.modules) - known:
        if name.startswith("still_"):
            del sys.modules[name]


def test_a_file_provides_what_its_hooks_say(plugin_file):
    registry = Registry([], files=[plugin_file])
    (plugin,) = registry.plugins
    assert (plugin.name, plugin.origin, plugin.error) == ("still_plugin", str(plugin_file), "")
    assert type(build("simulator", registry.spec("simulator", "still"), {})).__name__ == "Still"


def test_its_code_and_that_of_what_it_imports_beside_it_is_part_of_the_keys(plugin_file):
    registry = Registry([], files=[plugin_file])

    def digest():
        return source_digest(["still_plugin:Still"], registry.packages())[0]

    first, helper = digest(), plugin_file.with_name("still_helper.py")
    helper.write_text("# a comment\ndef steps_of(start):\n    return len(start)\n")
    assert digest() == first
    helper.write_text("def steps_of(start):\n    return 1\n")
    second = digest()
    assert second != first
    plugin_file.write_text(plugin_file.read_text().replace("slice(0, ", "slice(1, "))
    assert digest() not in (first, second)


def test_files_are_named_once_and_for_all_processes(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "a.py"))
    name_files([tmp_path / "b.py", tmp_path / "a.py"])
    assert os.environ[VARIABLE] == f"{tmp_path / 'a.py'}{os.pathsep}{tmp_path / 'b.py'}"
    assert named_files() == [tmp_path / "a.py", tmp_path / "b.py"]


FAULTS = {
    "none.py": (None, "no such file"),
    "no-module.py": ("", "a plugin's file is a Python module: letters, digits and '_', and the ending .py"),
    "email.py": ("", "the name 'email' is taken by another module ("),
    "unclosed.py": ("x = (\n", "SyntaxError: '(' was never closed (unclosed.py, line 1)"),
    "unknown.py": (
        "import os\nfrom nsbench import nothing\n",
        "unknown.py:2: ImportError: cannot import name 'nothing'",
    ),
    "unmarked.py": ("def nsbench_metrics():\n    return []\n", "nsbench_metrics is not marked with @nsbench.hookimpl"),
    "newer.py": ("nsbench_api = 2\n", "asks for version 2 of the plugin API"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_that_cannot_be_used_ends_the_command_with_what_is_wrong(tmp_path, name):
    text, message = FAULTS[name]
    if text is not None:
        (tmp_path / name).write_text(text)
    done = nsbench("plugins", "--plugin", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{tmp_path / name}: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_every_command_that_looks_components_up_takes_a_file(plugin_file):
    for command in ("run", "plan", "prepare", "export", "list", "info", "plugins", "track", "schema", "check"):
        assert "plugin" in [option.name for option in main.get_command(None, command).params], command
    assert "still_plugin:Still" in nsbench("info", "still", "--plugin", plugin_file).stdout
