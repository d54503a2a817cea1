"""Facts about PNS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.neural.networks.padding import set_boundaries
from nsbench.neural.randomness import initialised
from nsbench.neural.states.growth import Growth
from nsbench_pns.laptop import LaptopParams
from nsbench_pns.model import PNSModel
from nsbench_pns.network import convolved_constant
from nsbench_pns.params import PNSParams
from nsbench_pns.reference import SelfAttention, ValidLatentEncoder, WideUNet, least_side
from nsbench_pns.simulator import PNS

TINY = LaptopParams(width=4, latents=3, levels=3, decoder_kernel=5, batch=8)


pytestmark = pytest.mark.usefixtures("one_thread")


def model_of(params: PNSParams) -> PNSModel:
    return initialised(lambda: PNSModel(params, Growth(frozen=params.frozen_state), 1), 0)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_step(count: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x = (torch.rand(count, 1, 16, 16, generator=noise()) < 0.3).float()
    return x, torch.maximum(x, (torch.rand(x.shape, generator=noise(1)) < 0.2).float()), torch.zeros(count, 1)


def test_rollouts_grow_longer_as_the_reference_says() -> None:
    simulator, rng = PNS(REFERENCE), np.random.default_rng(0)
    lengths = [simulator.unroll_length(f, 60, rng) for f in (0, 0.279, 0.281, 0.335, 0.337, 0.99)]
    assert lengths == [1, 1, 2, 2, 3, 14]
    assert simulator.unroll_length(1.0, 18, rng) == 6


def test_the_latents_are_one_vector_whatever_the_lattice() -> None:
    model = model_of(TINY)
    for side in (16, 32):
        context = model.context(torch.zeros(2, 1, side, side), torch.zeros(2, 1))
        assert model.prior(context).mean.shape == (2, 3)


@pytest.mark.parametrize("shape", [(16, 16), (4, 7)])
def test_a_constant_map_is_convolved_without_the_map(shape: tuple[int, int]) -> None:
    z, weight = torch.randn(2, 3, generator=noise()), torch.randn(5, 3, 11, 11, generator=noise(1))
    plain = F.conv2d(z[:, :, None, None].expand(-1, -1, *shape), weight, padding=5)
    torch.testing.assert_close(convolved_constant(z, weight, shape), plain, atol=2e-4, rtol=1e-4)


def test_the_loss_without_free_bits_is_the_negative_elbo() -> None:
    model = model_of(TINY.model_copy(update={"free_bits": 0.0}))
    x, x_next, y = a_step(200)
    with torch.no_grad():
        loss = model.loss(x, x_next, y, 1.0, noise(2)).total.item()
        elbo = model.log_weights(x, x_next, y, 50, noise(3)).mean().item()
    assert loss == pytest.approx(-elbo, rel=0.01)


def test_latents_below_their_free_bits_teach_the_prior_nothing() -> None:
    step = a_step()
    gradients = []
    for free in (0.0, 1e6):
        model = model_of(TINY.model_copy(update={"free_bits": free}))
        out = model.loss(*step, 1.0, noise())
        out.total.backward()  # type: ignore[no-untyped-call]
        weight = model.prior_encoder.head.weight.grad
        gradients.append((out.terms["kl"].item(), weight is not None and bool(weight.any())))
    assert gradients[0][0] == gradients[1][0] > 0
    assert [given for _, given in gradients] == [True, False]


def test_pns_fits_simulates_and_comes_back_from_disk(crystals, tmp_path: Path) -> None:
    simulator = PNS(TINY)
    conditions = Conditions(precision="bfloat16")
    simulator.fit(*crystals, FitContext(200, tmp_path / "work", np.random.default_rng(0), conditions))
    simulator.save(tmp_path / "saved")
    loaded = PNS(TINY)
    loaded.conditions = conditions
    loaded.load(tmp_path / "saved")
    start = crystals[1].start()
    arrivals = [s.rollout(start, 5, np.random.default_rng(0)).arrays()["arrival"] for s in (simulator, loaded)]
    assert np.array_equal(*arrivals)
    assert loaded.size() == simulator.size()


REFERENCE = PNSParams()


def weights_of(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_the_reference_has_the_weights_that_its_authors_built() -> None:
    """The UNet as counted in the authors' release (kminartz/EPNS, 1f03be4), less 1,024 of a norm that it never applies;
    the rest by hand: 3×3 convolutions with bias, and what the seven parameters and one channel of a state take."""
    with torch.device("meta"):
        model = PNSModel(REFERENCE, Growth(), 7)
    assert weights_of(model.forward_model) == 122_500_608 - 1_024
    w, convolution = 128, 128 * 128 * 9 + 128
    encoder = 3 * convolution + (w * w + w) + (w * 128 + 128)
    assert weights_of(model.prior_encoder) == encoder + convolution
    assert weights_of(model.posterior_encoder) == encoder + (129 * 128 * 9 + 128)
    assert weights_of(model.decoder) == (192 * 128 * 121 + 128) + 3 * convolution
    assert weights_of(model) == 127_165_313
    channels = [blocks[0].first.out_channels for blocks in model.forward_model.down]
    assert channels == [256, 512, 512, 512]


def test_the_reference_s_layers_are_shaped_as_its_authors_shaped_them() -> None:
    unet = WideUNet(PNSParams(width=8))
    shapes: dict[str, tuple[int, ...]] = {name: tuple(weight.shape) for name, weight in unet.named_parameters()}
    assert [shapes[f"halvings.{k}.weight"] for k in range(3)] == [(c, c, 3, 3) for c in (16, 32, 32)]
    assert [shapes[f"doublings.{k}.weight"] for k in range(3)] == [(c, c, 4, 4) for c in (32, 32, 16)]
    assert [shapes[f"up.3.{k}.first.weight"][:2] for k in range(3)] == [(16, 32), (16, 32), (8, 24)]
    assert [len(blocks) for blocks in unet.up] == [3, 3, 3, 3]
    assert "down.0.1.shortcut.weight" not in shapes  # equal channels: the identity
    assert shapes["middle.1.project.weight"] == (96, 32)
    assert unet(torch.zeros(2, 8, 16, 24)).shape == (2, 8, 16, 24)


def test_every_weight_of_the_reference_learns(crystals) -> None:
    model = model_of(TINY.model_copy(update={"architecture": "reference", "encoder_layers": 2, "free_bits": 0.0}))
    model.loss(*a_step(), 1.0, noise()).total.backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())


def test_attention_is_shared_out_over_those_who_attend() -> None:
    """With one key that all attend to alike, its value is dealt out in parts of 1 / (H·W), and each site's own is kept."""
    attention = SelfAttention(2)
    with torch.no_grad():
        attention.project.weight.zero_()
        attention.project.bias.copy_(torch.tensor([0.0, 0, 0, 0, 3, 5]))
        attention.out.weight.copy_(torch.eye(2))
        attention.out.bias.zero_()
        x = torch.randn(1, 2, 4, 4, generator=noise())
        torch.testing.assert_close(attention(x), x + torch.tensor([3.0, 5.0])[None, :, None, None])
        skewed = attention.project.weight
        skewed[:2], skewed[2:4] = 5 * torch.eye(2), 5 * torch.eye(2)
        assert not torch.allclose(attention(x), x + torch.tensor([3.0, 5.0])[None, :, None, None])


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_reference_s_encoder_leaves_one_site_of_the_least_lattice(layers: int) -> None:
    side = least_side(layers)
    encoder = ValidLatentEncoder(3, PNSParams(width=4, encoder_layers=layers))
    assert encoder(torch.zeros(1, 3, side, side)).mean.shape == (1, 64)
    with pytest.raises(RuntimeError):
        encoder(torch.zeros(1, 3, side - 1, side - 1))


def test_a_lattice_too_small_for_the_reference_is_refused(crystals, tmp_path: Path) -> None:
    simulator = PNS(PNSParams(width=4, levels=2))
    with pytest.raises(ValueError, match="PNS needs lattices of 24 sites a side or more, got 16×16"):
        simulator.fit(*crystals, FitContext(10, tmp_path, np.random.default_rng(0)))


def test_a_loss_that_is_summed_is_as_many_times_the_mean() -> None:
    step = a_step(6)
    mean, total = (
        model_of(TINY.model_copy(update={"reduction": how})).loss(*step, 1.0, noise()).total for how in ("mean", "sum")
    )
    assert total.item() == pytest.approx(6 * mean.item(), rel=1e-6)


def test_the_reference_moves_with_a_lattice_that_has_no_end() -> None:
    """By as many sites as the coarsest level's site is wide."""
    unet = WideUNet(PNSParams(width=4, levels=3)).double()
    set_boundaries(unet, ("periodic", "periodic"))
    x = torch.randn(1, 4, 16, 16, generator=noise()).double()
    torch.testing.assert_close(unet(x.roll((4, 8), (2, 3))), unet(x).roll((4, 8), (2, 3)))


def test_a_lattice_that_the_levels_cannot_halve_is_refused(crystals, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="divisible by 32, got 16×16"):
        PNS(LaptopParams(levels=6)).fit(*crystals, FitContext(10, tmp_path, np.random.default_rng(0)))


@pytest.mark.parametrize("wrong", [{"width": 1}, {"decoder_kernel": 4}, {"levels": 0}, {"unroll_every": 0}])
def test_parameters_outside_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PNSParams(**wrong)


def test_the_kl_of_each_latent_adds_up_to_that_of_the_loss(crystals, tmp_path):
    simulator = PNS(LaptopParams(width=8, levels=2, latents=3, batch=8))
    simulator.fit(*crystals, FitContext(64, tmp_path, np.random.default_rng(0)))
    index, t = crystals[1].transitions()
    x, x_next, params = crystals[1].at(index, t), crystals[1].at(index, t + 1), crystals[1].params[index]
    kl = simulator.latent_kl(x, x_next, params)
    assert kl.shape == (3,)
    model, y = simulator.network.model, simulator._standardised(params[:, list(simulator.columns)])
    loss = model.loss(torch.from_numpy(x), torch.from_numpy(x_next), y, 1.0, torch.Generator().manual_seed(0))
    assert kl.sum() == pytest.approx(loss.terms["kl"].item(), rel=1e-4)
