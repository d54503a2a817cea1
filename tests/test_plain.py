"""The fast networks compute what the plain ones do: the same weights, torch's own operations."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nsbench.neural.randomness import initialised
from nsbench.neural.states.growth import Growth
from nsbench_cgne.laptop import LaptopParams as CGNELaptop
from nsbench_cgne.model import CGNEModel
from nsbench_cgne.params import CGNEParams
from nsbench_pns.laptop import LaptopParams as PNSLaptop
from nsbench_pns.model import PNSModel

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import plain

pytestmark = pytest.mark.usefixtures("one_thread")

MODELS = {
    "cgne-laptop": lambda: CGNEModel(CGNELaptop(width=8, latent_channels=4), Growth(), 1),
    "cgne": lambda: CGNEModel(CGNEParams(width=8, latent_channels=4, latent_width=16), Growth(), 1),
    "pns-laptop": lambda: PNSModel(PNSLaptop(width=8, levels=3, latents=4), Growth(), 1),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_fast_network_and_the_plain_one_have_the_same_loss_gradients_and_next_states(name):
    x = torch.from_numpy((np.random.default_rng(0).random((3, 1, 32, 32)) < 0.3).astype(np.float32))
    x_next = torch.maximum(
        x, torch.from_numpy((np.random.default_rng(1).random((3, 1, 32, 32)) < 0.1).astype(np.float32))
    )
    y = torch.tensor([[-1.0], [0.2], [1.3]])

    def results(model):
        loss = model.loss(x, x_next, y, 1.0, torch.Generator().manual_seed(0)).total
        loss.backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        with torch.no_grad():
            return loss.item(), gradients, model.output(x, y, torch.Generator().manual_seed(1))

    loss, gradients, logits = results(initialised(MODELS[name], 0))
    with plain.plainly():
        plain_loss, plain_gradients, plain_logits = results(plain.contiguous(initialised(MODELS[name], 0)))
    assert loss == pytest.approx(plain_loss, rel=1e-5)
    torch.testing.assert_close(logits, plain_logits, rtol=1e-4, atol=1e-4)
    assert gradients.keys() == plain_gradients.keys()
    for which, gradient in gradients.items():
        scale = plain_gradients[which].abs().max().item()
        torch.testing.assert_close(gradient, plain_gradients[which], rtol=1e-3, atol=1e-4 * scale + 1e-7, msg=which)
    assert torch.equal(logits > 0, plain_logits > 0)
