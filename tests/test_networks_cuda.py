"""Networks on a GPU: what the references' recipes need, there too. Skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import nsbench
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

CASES = {
    "cgne": {"width": 8, "latent_channels": 4, "latent_width": 8, "batch": 8, "condition_power": 3.83},
    "pns": {"width": 4, "latents": 3, "levels": 2, "encoder_layers": 2, "batch": 8, "condition_power": "likelihood"},
    "cgne-laptop": {"width": 8, "optimizer": "muon"},
    "pns-laptop": {"width": 8, "optimizer": "muon"},
    "bernoulli-unet": {"width": 8},
    "stochastic-nca": {},
}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_what_a_gpu_learned_is_the_same_network_on_the_cpu(name: str, precision, registry, tmp_path: Path) -> None:
    lca = nsbench.load("dataset", "lca", size=16, train=24, val=8, stop_margin=3)
    train, val = (lca.prepare(split, np.random.default_rng(0)).framed(4, 64) for split in ("train", "val"))
    conditions = Conditions(device="cuda", precision=precision)
    simulator = nsbench.load("simulator", name, **CASES[name])
    simulator.fit(train, val, FitContext(200, tmp_path / "work", np.random.default_rng(0), conditions))
    rollout = simulator.rollout(val.start(), 12, np.random.default_rng(0))
    assert (rollout.lengths > 1).any()
    simulator.save(tmp_path / "saved")
    copy = nsbench.load("simulator", name, **CASES[name])
    copy.load(tmp_path / "saved")  # on the CPU, in float32
    index, t = np.arange(len(val)), np.zeros(len(val), np.int64)
    step = val.at(index, t), val.at(index, t + 1), val.params
    there, here = (s.log_likelihood(*step, 512, np.random.default_rng(0)) for s in (simulator, copy))
    np.testing.assert_allclose(there, here, rtol=0.05 if precision == "bfloat16" else 0.02, atol=0.5)
