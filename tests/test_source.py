"""The digest of code: blind to where it lies and what its modules are called, and to nothing that runs."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from importlib.metadata import version
from pathlib import Path

import pytest

import nsbench
from nsbench.registry.libraries import versions
from nsbench.registry.source import SourceNotFound, Sources, source_digest

PLUGIN = {
    "{a}/__init__.py": "",
    "{a}/model.py": """
        import {a}.tools.shapes
        import {a}.numbers as numbers
        from {a} import scale
        from {a}.tools import steps as strides
        from . import late
        from .base import Base
        from nsbench.components.simulator import Simulator

        class Model(Base, Simulator):
            def rollout(self, start, steps, rng):
                late.load()
                return {a}.tools.shapes.grow(scale.FACTOR * numbers.half(start), strides.of(steps))
    """,
    "{a}/base.py": """
        from {a}.params import WIDTH

        class Base:
            width = WIDTH
    """,
    "{a}/params.py": "WIDTH = 3\n",
    "{a}/numbers.py": "def half(x):\n    return x / 2\n",
    "{a}/scale.py": "FACTOR = 2\n",
    "{a}/late.py": """
        import importlib

        def load():
            from {a}.tools.deep import gate
            importlib.import_module("{a}.tools.named").use()
            return gate.OPEN
    """,
    "{a}/tools/__init__.py": "",
    "{a}/tools/shapes.py": "def grow(x, by):\n    return x + by\n",
    "{a}/tools/steps.py": "def of(steps):\n    return steps\n",
    "{a}/tools/named.py": "def use():\n    return 1\n",
    "{a}/tools/deep/__init__.py": "",
    "{a}/tools/deep/gate.py": "OPEN = True\n",
}
"""A plugin that imports its modules in every way there is."""

ELSEWHERE = {
    "{a}.tools.deep.gate": "{b}.doors.door",
    "{a}.tools.shapes": "{b}.forms",
    "{a}.tools.steps": "{b}.walking.pace",
    "{a}.tools.named": "{b}.walking.called",
    "{a}.numbers": "{b}.doors.quantities",
    "{a}.scale": "{b}.walking.factors",
    "{a}.late": "{b}.doors.evening",
    "{a}.base": "{b}.ground",
    "{a}.params": "{b}.settings.params",
    "{a}.model": "{b}.settings.model",
}
"""Where each of its modules goes: other folders, other depths, other names."""

MOVED_MODEL = """
    import {b}.forms
    from {b}.doors import evening
    from {b}.doors import quantities
    from {b}.ground import Base
    from {b}.walking import factors, pace
    from nsbench.components.simulator import Simulator

    class Model(Base, Simulator):
        def rollout(self, start, steps, rng):
            evening.load()
            return {b}.forms.grow(factors.FACTOR * quantities.half(start), pace.of(steps))
"""
"""The one module of the plugin whose imports are written otherwise after the move, as its author would."""


def write(root: Path, files: dict[str, str], **names: str) -> None:
    for name, text in files.items():
        path = root / name.format(**names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text.format(**names)))


def digest(*targets: str) -> str:
    return source_digest(targets, [target.partition(".")[0] for target in targets])[0]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def fresh(request):
    """A name for a package that no other test uses."""
    return f"pkg_{abs(hash(request.node.nodeid)) % 10**9}"


def moved(files: dict[str, str], a: str, b: str) -> dict[str, str]:
    """The plugin's files under their new names, their imports rewritten."""
    places = {old.format(a=a): new.format(b=b) for old, new in ELSEWHERE.items()}
    pattern = re.compile("|".join(re.escape(old) for old in sorted(places, key=len, reverse=True)))
    found = {}
    for name, text in files.items():
        old = name.format(a=a).removesuffix(".py").replace("/", ".")
        if old in places:
            body = MOVED_MODEL if old.endswith(".model") else text
            body = textwrap.dedent(body.format(a=a, b=b)).replace(
                f"from {a}.tools.deep import gate", f"from {b}.doors import door as gate"
            )
            found[places[old].replace(".", "/") + ".py"] = pattern.sub(lambda match: places[match[0]], body)
    for folder in {Path(path).parent for path in found}:
        found[f"{folder}/__init__.py"] = ""
    return found


def test_moving_every_module_to_another_folder_under_another_name_changes_no_digest(root, fresh):
    a, b = f"{fresh}_a", f"{fresh}_b"
    write(root, PLUGIN, a=a)
    write(root, moved(PLUGIN, a, b))
    assert digest(f"{b}.settings.model:Model") == digest(f"{a}.model:Model")
    assert len(Sources([b]).files([f"{b}.settings.model:Model"])) >= len(ELSEWHERE)


@pytest.mark.parametrize("name", [name for name in PLUGIN if "__init__" not in name])
def test_a_byte_of_any_module_that_runs_changes_the_digest(root, fresh, name):
    write(root, PLUGIN, a=fresh)
    before = digest(f"{fresh}.model:Model")
    path = root / name.format(a=fresh)
    path.write_text(path.read_text() + "\nLAST = 1\n")
    assert digest(f"{fresh}.model:Model") != before


@pytest.mark.parametrize("package", ["{a}", "{a}/tools", "{a}/tools/deep"])
def test_what_the_packages_on_the_way_do_counts(root, fresh, package):
    """Python runs them before the module, whichever way it is imported: they may set anything."""
    write(root, PLUGIN, a=fresh)
    before = digest(f"{fresh}.model:Model")
    (root / package.format(a=fresh) / "__init__.py").write_text('"""Words."""\n# and more\n')
    assert digest(f"{fresh}.model:Model") == before
    (root / package.format(a=fresh) / "__init__.py").write_text("import numpy\nnumpy.seterr(all='raise')\n")
    assert digest(f"{fresh}.model:Model") != before


def test_a_plugin_run_as_the_key_says(root, fresh):
    """The modules of the digest are those that Python has imported after the component has run."""
    write(root, PLUGIN, a=fresh)
    script = (
        f"import sys, numpy as np; from {fresh}.model import Model; Model().rollout(np.ones(1), 1, None);"
        f"print(*(name for name in sys.modules if name.startswith('{fresh}')))"
    )
    paths = os.pathsep.join([str(root), *sys.path])
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": paths},
        check=True,
        capture_output=True,
        text=True,
    )
    counted = {name for name in Sources([fresh]).files([f"{fresh}.model:Model"]) if name.startswith(fresh)}
    assert counted == set(ran.stdout.split())


def test_modules_that_import_each_other_in_a_circle_have_a_digest_and_are_told_apart(root, fresh):
    files = {
        "{a}_one.py": "import {a}_two\n\ndef f(x):\n    return {a}_two.g(x) if x else 1\n",
        "{a}_two.py": "import {a}_one\n\ndef g(x):\n    return {a}_one.f(x - 1)\n",
    }
    write(root, files, a=fresh)
    before = digest(f"{fresh}_one:f")
    assert digest(f"{fresh}_two:g") != before
    (root / f"{fresh}_two.py").write_text((root / f"{fresh}_two.py").read_text().replace("x - 1", "x - 2"))
    assert digest(f"{fresh}_one:f") != before


def test_two_modules_that_change_places_change_the_digest(root, fresh):
    files = {
        "{a}/__init__.py": "",
        "{a}/mine.py": "from {a} import plus, minus\n\ndef run(x):\n    return plus.of(x) / minus.of(x)\n",
        "{a}/plus.py": "def of(x):\n    return x + 1\n",
        "{a}/minus.py": "def of(x):\n    return x - 1\n",
    }
    write(root, files, a=fresh)
    before = digest(f"{fresh}.mine:run")
    write(root, {"{a}/plus.py": files["{a}/minus.py"], "{a}/minus.py": files["{a}/plus.py"]}, a=fresh)
    assert digest(f"{fresh}.mine:run") != before


def test_a_fallback_is_not_its_first_choice(root, fresh):
    text = (
        "try:\n    from {a} import {x} as impl\nexcept ImportError:\n    from {a} import {y} as impl\nRUN = impl.run\n"
    )
    write(root, {"{a}/__init__.py": "", "{a}/fast.py": "run = 1\n", "{a}/slow.py": "run = 2\n"}, a=fresh)
    digests = set()
    for x, y in (("fast", "slow"), ("slow", "fast")):
        write(root, {"{a}/mine.py": text}, a=fresh, x=x, y=y)
        digests.add(digest(f"{fresh}.mine:RUN"))
    assert len(digests) == 2


def test_the_order_of_imports_changes_no_digest(root, fresh):
    write(root, {"{a}_x.py": "one = 1\n", "{a}_y.py": "two = 2\n"}, a=fresh)
    lines = ["import json", f"from {fresh}_x import one", f"import {fresh}_y as y"]
    digests = set()
    for order in itertools.permutations(lines):
        (root / f"{fresh}.py").write_text("\n".join([*order, "print(one, y.two, json)", ""]))
        digests.add(source_digest([f"{fresh}:one"], [f"{fresh}_x", f"{fresh}_y"])[0])
    assert len(digests) == 1


def test_what_only_type_checkers_read_counts_for_nothing(root, fresh):
    text = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {a}_types import Thing\nelse:\n    Thing = {n}\n"
    )
    write(root, {"{a}.py": text, "{a}_types.py": "Thing = 1\n"}, a=fresh, n="0")
    before = digest(f"{fresh}:Thing")
    (root / f"{fresh}_types.py").write_text("Thing = 2\n")
    assert digest(f"{fresh}:Thing") == before
    write(root, {"{a}.py": text}, a=fresh, n="1")
    assert digest(f"{fresh}:Thing") != before


HOOKS = """
    from nsbench import hookimpl
    from nsbench.components.component import {spec}
    {extra}
    TABLE = {table}
    SCALE = {scale}

    def summary(name):
        return TABLE[name]

    class Mine:
        scale = SCALE

    @hookimpl
    def nsbench_simulators():
        return [{spec}("mine", "x:Mine", summary=summary("mine"))]
"""


def test_hooks_and_what_only_they_use_count_for_nothing(root, fresh):
    """A second component, or another summary, refits nobody; what the class uses counts."""

    def of(spec="SimulatorSpec", extra="", table="{'mine': 'A'}", scale="1"):
        write(root, {"{a}.py": HOOKS}, a=fresh, spec=spec, extra=extra, table=table, scale=scale)
        return digest(f"{fresh}:Mine")

    before = of()
    assert of(table="{'mine': 'Another'}") == before
    assert of(spec="MetricSpec") == before
    assert of(scale="2") != before
    assert of(extra="import numpy; numpy.seterr(all='raise')") != before


def test_a_package_with_hooks_counts_by_what_else_it_does(root, fresh):
    files = {"{a}/__init__.py": HOOKS, "{a}/mine.py": "class Mine:\n    pass\n"}
    names = {"a": fresh, "spec": "SimulatorSpec", "extra": "", "scale": "1"}
    write(root, files, table="{'mine': 'A'}", **names)
    before = digest(f"{fresh}.mine:Mine")
    write(root, files, table="{'mine': 'Another'}", **names)
    assert digest(f"{fresh}.mine:Mine") == before
    write(root, files, table="{'mine': 'A'}", **names | {"scale": "2"})
    assert digest(f"{fresh}.mine:Mine") != before


def test_the_class_of_the_parameters_is_part_of_the_digest(root, fresh):
    """The component is given an instance and imports nothing of it, yet its properties compute."""
    params = "class Params:\n    @property\n    def twice(self):\n        return {n} * self.x\n"
    write(root, {"{a}_mine.py": "class Mine:\n    pass\n", "{a}_params.py": params}, a=fresh, n="2")
    both = f"{fresh}_mine:Mine", f"{fresh}_params:Params"
    before = digest(*both)
    write(root, {"{a}_params.py": params}, a=fresh, n="3")
    assert digest(*both) != before


def test_a_compiled_extension_counts_by_its_bytes_and_hides_the_source_beside_it(root, fresh):
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    write(root, {"{a}.py": "from {a}_fast import f\n", "{a}_fast.py": "def f():\n    return 1\n"}, a=fresh)
    source = source_digest([f"{fresh}:f"], [f"{fresh}_fast"])[0]
    (root / f"{fresh}_fast{suffix}").write_bytes(b"\x7fELF one")
    first = source_digest([f"{fresh}:f"], [f"{fresh}_fast"])[0]
    (root / f"{fresh}_fast{suffix}").write_bytes(b"\x7fELF two")
    assert len({source, first, source_digest([f"{fresh}:f"], [f"{fresh}_fast"])[0]}) == 3


def test_a_package_hides_the_module_of_its_name_as_it_does_for_python(root, fresh):
    write(root, {"{a}.py": "from {a}_h import f\n", "{a}_h.py": "f = 1\n", "{a}_h/__init__.py": "f = 2\n"}, a=fresh)
    read = source_digest([f"{fresh}:f"], [f"{fresh}_h"])[0]
    (root / f"{fresh}_h.py").write_text("f = 3\n")
    assert source_digest([f"{fresh}:f"], [f"{fresh}_h"])[0] == read
    (root / f"{fresh}_h" / "__init__.py").write_text("f = 4\n")
    assert source_digest([f"{fresh}:f"], [f"{fresh}_h"])[0] != read


@pytest.mark.parametrize("call", ['import_module("{a}.h")', 'import_module(".h", __package__)', '__import__("{a}.h")'])
def test_an_import_by_a_literal_name_is_an_import(root, fresh, call):
    text = f"from importlib import import_module\n\ndef f():\n    return {call}\n"
    write(root, {"{a}/__init__.py": "", "{a}/mine.py": text, "{a}/h.py": "X = 1\n"}, a=fresh)
    before = digest(f"{fresh}.mine:f")
    (root / fresh / "h.py").write_text("X = 2\n")
    assert digest(f"{fresh}.mine:f") != before


def test_a_package_that_imports_when_it_is_asked_counts_with_what_it_imports(root, fresh):
    lazy = "def __getattr__(name):\n    from {a} import hidden\n    return hidden.X\n"
    files = {"{a}/__init__.py": lazy, "{a}/hidden.py": "X = 1\n", "{a}_mine.py": "from {a} import X\n"}
    write(root, files, a=fresh)
    before = source_digest([f"{fresh}_mine:X"], [fresh])[0]
    (root / fresh / "hidden.py").write_text("X = 2\n")
    assert source_digest([f"{fresh}_mine:X"], [fresh])[0] != before


def test_what_nsbench_passes_on_leads_to_the_module_that_defines_it(root, fresh):
    name = "NeuralSimulator"
    lines = {
        "deep": f"from {nsbench.HOMES[name]} import {name}\n",
        "front": f"from nsbench import {name}\n",
        "whole": f"import nsbench as ns\n{name} = ns.{name}\n",
    }
    for way, line in lines.items():
        (root / f"{fresh}_{way}.py").write_text(line)
    assert digest(f"{fresh}_deep:x") == digest(f"{fresh}_front:x")
    files = {way: Sources(["nsbench", f"{fresh}_{way}"]).files([f"{fresh}_{way}:x"]) for way in lines}
    assert all(nsbench.HOMES[name] in found and "nsbench" not in found for found in files.values())


def test_libraries_count_with_what_they_require():
    """SSIM is scikit-image's, whose filters are SciPy's."""
    found = versions(["scikit-image"])
    assert found.keys() >= {"scikit-image", "scipy", "numpy"}
    assert found["scipy"] == version("scipy")
    assert versions(["no-such-distribution"]) == {"no-such-distribution": "absent"}


def test_a_helper_that_was_never_installed_counts_and_an_installed_library_counts_by_its_version(root, fresh):
    files = {"{a}.py": "import {a}_helper, click, json, yaml\n", "{a}_helper.py": "SCALE = 1\n"}
    write(root, files, a=fresh)
    before, libraries = source_digest([f"{fresh}:Mine"], ["nsbench"])
    assert libraries.keys() == {"click"}  # the standard library and readers of text change no numbers
    (root / f"{fresh}_helper.py").write_text("SCALE = 1 + 1\n")
    assert source_digest([f"{fresh}:Mine"], ["nsbench"])[0] != before


def test_code_that_cannot_be_read_is_refused_by_name(root, fresh):
    (root / f"{fresh}.py").write_text("def f(:\n")
    with pytest.raises(SourceNotFound, match=f"{fresh}.py"):
        digest(f"{fresh}:f")
    shutil.rmtree(root / f"{fresh}", ignore_errors=True)
    with pytest.raises(SourceNotFound, match="no source found for module 'no_such_module'"):
        digest("no_such_module:f")


SUM = "total = " + " + ".join(["1"] * 1_200)
LARGE = "large = 0x" + "f" * 6_000


@pytest.mark.parametrize(
    ("text", "fault"),
    [(SUM, "model.py:2: nested too deeply to be read"), (LARGE, r"model.py:2: Exceeds the limit"), ("x = " + "7" * 5_000, "Exceeds the limit")],
    ids=["a sum of 1,200 terms", "a large number", "a number of 5,000 digits"],
)  # fmt: skip
def test_source_that_cannot_be_digested_is_refused_by_file_and_line(tmp_path, monkeypatch, text, fault):
    (tmp_path / "model.py").write_text(f"import math\n{text}\nclass Model: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceNotFound, match=fault):
        source_digest(["model:Model"], ["model"])


@pytest.mark.parametrize("module", ["{a}.mine", "{a}_loose"])
def test_files_that_a_spec_names_count_by_name_and_content_and_are_found_at_their_places(root, fresh, module):
    files = {"{a}/__init__.py": "", "{a}/mine.py": "X = 1\n", "{a}_loose.py": "X = 1\n"}
    module, home = module.format(a=fresh), root / fresh if module == "{a}.mine" else root
    write(root, files, a=fresh)
    targets = [f"{module}:X", f"{module}/{fresh}.json", f"{module}/{fresh}_tables"]
    with pytest.raises(SourceNotFound, match=f"{fresh}.json"):
        source_digest(targets, [fresh])
    (home / f"{fresh}_tables").mkdir()
    for name in (f"{fresh}.json", f"{fresh}_tables/one", f"{fresh}_tables/two"):
        (home / name).write_text(name[-3:])
    before = source_digest(targets, [fresh])[0]
    assert before != source_digest(targets[:1], [fresh])[0]
    places = Sources([fresh, module.partition(".")[0]]).places(targets)
    assert {root / place for place in places} == set(places.values())
    assert home / f"{fresh}_tables" / "two" in places.values()
    (home / f"{fresh}_tables" / "one").rename(home / f"{fresh}_tables" / "three")
    assert source_digest(targets, [fresh])[0] != before
