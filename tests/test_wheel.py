"""A wheel holds every plugin: what works in a checkout works for users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

DATASETS = ["dendrite", "grains", "gusts", "lca", "lca-open", "spinodal", "trajectories"]

METRICS = [
    "arrival_error",
    "autocorrelation",
    "brier",
    "conditioning",
    "coverage",
    "crps",
    "divergence",
    "elbo",
    "energy_distance",
    "energy_score",
    "ewd",
    "fid",
    "frechet_descriptors",
    "growth_rate",
    "identity_collapse",
    "latent_neglect",
    "melting",
    "mmd",
    "nearest_neighbour",
    "orphans",
    "posterior_collapse",
    "rank_histogram",
    "reliability",
    "sliced_energy",
    "sliced_wasserstein",
    "spectrum",
    "spread_skill",
    "ssim",
    "time_asymmetry",
    "variogram_score",
    "wall_clock",
]

SIMULATORS = [
    "absorbing",
    "bernoulli-unet",
    "categorical-unet",
    "cgne",
    "cgne-bernoulli-sampling",
    "cgne-laptop",
    "cgne-no-annealing",
    "cgne-no-dropout",
    "cgne-no-regressor",
    "cgne-no-unrolling",
    "cgne-standard-sampling",
    "cgne-unconditional-prior",
    "cgne-vector-z",
    "crps",
    "dendrite",
    "ensemble",
    "frozen-neighbour",
    "gaussian-unet",
    "grains",
    "gusts",
    "interpolant",
    "lca",
    "lca-open",
    "persistence",
    "pns",
    "pns-laptop",
    "refiner",
    "spinodal",
    "stochastic-nca",
    "tempered",
]

LIST = """
import nsbench, sys
from importlib.resources import files
from nsbench.registry.registry import KINDS, installed
from nsbench.registry.loading import import_object, params_model
assert nsbench.__file__.startswith(sys.argv[1]), nsbench.__file__
registry = installed()
assert not [p.error for p in registry.plugins if p.error]
assert all(files("nsbench.report.page").joinpath(name).is_file() for name in ("page.css", "page.js"))
for kind in KINDS:
    for name in registry.names(kind):
        spec = registry.spec(kind, name)
        cls, _ = import_object(spec.target), params_model(spec)
        assert sys.modules[cls.__module__].__file__.startswith(sys.argv[1])
        print(kind, name)
from nsbench.commands.new import contents
assert all(len(contents(kind, "mine")) == 5 for kind in ("simulator", "dataset", "metric"))
"""


def test_a_wheel_loads_every_component_without_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True)
    environment = os.environ | {"PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", LIST, str(target)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=True,
    )
    assert done.stdout.splitlines() == [
        *(f"dataset {name}" for name in DATASETS),
        *(f"simulator {name}" for name in SIMULATORS),
        *(f"metric {name}" for name in METRICS),
        "format cgne",
        "format npz",
        "format well",
    ]
