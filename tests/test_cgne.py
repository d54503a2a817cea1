"""Facts about CGNE."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import Normal

from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.neural.networks.layers import ResidualBlock
from nsbench.neural.randomness import initialised
from nsbench.neural.schedules import Ramp
from nsbench.neural.states.growth import Growth
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_cgne.laptop import LaptopParams
from nsbench_cgne.model import CGNEModel
from nsbench_cgne.params import CGNEParams
from nsbench_cgne.simulator import CGNE
from nsbench_lca.dataset import LCADataset
from nsbench_lca.params import DatasetParams

REFERENCE = CGNEParams()
TINY = LaptopParams(
    width=4,
    latent_channels=2,
    latent_width=4,
    batch=8,
    unroll=3,
    kl_weight=1.0,
    condition_decoder=False,
    decoder_dropout=Ramp(first=1.0, last=0.1, begin=0.1, end=0.19),
)


pytestmark = pytest.mark.usefixtures("one_thread")


def make_context(workdir: Path, transitions: int = 200, precision: str = "float32") -> FitContext:
    conditions = Conditions(precision=precision)  # type: ignore[arg-type]
    return FitContext(transitions, workdir, np.random.default_rng(0), conditions)


def fitted(params: CGNEParams, crystals, workdir: Path, **context: object) -> CGNE:
    simulator = CGNE(params)
    simulator.fit(*crystals, make_context(workdir, **context))  # type: ignore[arg-type]
    return simulator


def model_of(params: CGNEParams, inputs: int = 1) -> CGNEModel:
    return initialised(lambda: CGNEModel(params, Growth(frozen=params.frozen_state), inputs), 0)


def a_step(count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    x = (torch.rand(count, 1, 16, 16, generator=rng) < 0.3).float()
    return x, torch.maximum(x, (torch.rand(x.shape, generator=rng) < 0.2).float()), torch.randn(count, 1, generator=rng)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_reference_has_14_4_million_parameters() -> None:
    count = sum(p.numel() for p in CGNE(REFERENCE).build(Growth(), 7).parameters())
    assert count == 14_409_320


def test_the_reference_has_as_many_latents_as_sites() -> None:
    model = model_of(REFERENCE, 7)
    context = model.context(torch.zeros(1, 1, 64, 64), torch.zeros(1, 7))
    assert model.prior(context).mean.numel() == 64 * 64


def test_the_parameters_are_embedded_by_two_layers_and_lie_beside_the_maps() -> None:
    encoder = model_of(REFERENCE, 7).posterior_encoder
    first, activation, second = encoder.embed
    assert [tuple(layer.weight.shape) for layer in (first, second)] == [(64, 7), (16, 64)]
    maps, y = torch.rand(2, 2, 16, 16, generator=noise()), torch.randn(2, 7, generator=noise(1))
    seen: list[Tensor] = []
    encoder.encode.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder(y, maps)
    hidden = y @ first.weight.T + first.bias
    embedded = (hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))) @ second.weight.T + second.bias
    assert isinstance(activation, torch.nn.GELU)
    torch.testing.assert_close(seen[0][:, :2], maps)
    torch.testing.assert_close(seen[0][:, 2:], embedded[:, :, None, None].expand(-1, -1, 16, 16))


def test_a_residual_block_is_its_formula() -> None:
    """Written down once more: each norm by the mean and the deviation of its groups, GELU by the error function."""
    block = initialised(lambda: ResidualBlock(3, 64), 0)

    def gelu(h: Tensor) -> Tensor:
        return h * 0.5 * (1 + torch.erf(h / 2**0.5))

    def normed(h: Tensor, norm: torch.nn.GroupNorm) -> Tensor:
        groups = h.view(len(h), 32, -1)
        standard = (groups - groups.mean(2, keepdim=True)) / (groups.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
        return standard.view_as(h) * norm.weight[:, None, None] + norm.bias[:, None, None]

    x = torch.randn(2, 3, 9, 7, generator=noise())
    inner = gelu(normed(F.conv2d(x, block.first.weight, block.first.bias, padding=1), block.first_norm))
    inner = normed(F.conv2d(inner, block.second.weight, block.second.bias, padding=1), block.second_norm)
    beside = torch.einsum("oc,bchw->bohw", block.project.weight[:, :, 0, 0], x) + block.project.bias[:, None, None]
    torch.testing.assert_close(block(x), gelu(inner + beside), atol=1e-5, rtol=1e-5)


def test_the_loss_is_the_sum_of_its_weighted_terms() -> None:
    """With the reference's weights: 1 and 0.1 for sites that are free and attached, 1 for the KL and the regression."""
    reference = REFERENCE.model_copy(
        update={"width": 4, "latent_channels": 2, "latent_width": 4, "decoder_dropout": None}
    )
    model, (x, x_next, y) = model_of(reference), a_step()
    with torch.no_grad():
        step = model.loss(x, x_next, y, 1.0, noise())
        chances = torch.sigmoid(step.guided)
        errors = -(x_next * chances.log() + (1 - x_next) * (1 - chances).log())
        posterior, prior = model.posterior(model.context(x, y), x_next), model.prior(model.context(x, y))
        kl = torch.distributions.kl_divergence(Normal(posterior.mean, posterior.scale), Normal(prior.mean, prior.scale))
        expected = (errors * torch.where(x > 0.5, 0.1, 1.0)).mean() + kl.mean() + step.terms["regression"]
    torch.testing.assert_close(step.total, expected, atol=1e-5, rtol=1e-5)
    assert step.terms["regression"] > 0


def test_dropout_follows_the_reference_schedule() -> None:
    schedule = REFERENCE.decoder_dropout
    assert schedule is not None
    epochs = [0, 10, 19, 100]
    assert [schedule.at(epoch / 100) for epoch in epochs] == pytest.approx([1.0, 1.0, 0.1, 0.1])


def test_dropout_hides_whole_samples_from_the_decoder_alone() -> None:
    x, _, _ = a_step(400)
    model = model_of(TINY)
    assert not model.drop_out(x, 0.0, noise()).any()
    late = model.drop_out(x, 1.0, noise()).flatten(1)
    hidden = ~late.any(1)
    assert 15 < int(hidden.sum()) < 75  # of 400 with probability 0.1
    assert torch.equal(late[~hidden], x.flatten(1)[~hidden])
    assert torch.equal(model_of(TINY.model_copy(update={"decoder_dropout": None})).drop_out(x, 0.0, noise()), x)


def test_the_mask_of_an_unroll_says_who_pays_for_growth_that_came_too_early() -> None:
    """One site more than the truth has, which has not attached by the next frame either: wrong at full weight by the
    truth, at a tenth by the model's own state. Outside of unrolls, where both are one, the masks agree."""
    truth = torch.zeros(1, 1, 16, 16)
    guided = truth.clone()
    guided[..., 8, 8] = 1
    y = torch.zeros(1, 1)
    totals = {}
    for mask in ("truth", "guided"):
        model = model_of(
            TINY.model_copy(update={"unroll_mask": mask, "decoder_dropout": None, "auxiliary_weight": 0.0})
        )
        with torch.no_grad():
            step = model.guided_loss(truth, guided, truth, y, 1.0, noise())
            error = model.space.site_loss(step.guided, guided, truth)[..., 8, 8].item() / truth.numel()
            totals[mask] = step.total.item()
            assert (
                model.loss(guided, guided, y, 1.0, noise()).total
                == model.guided_loss(guided, guided, guided, y, 1.0, noise()).total
            )
    assert totals["truth"] - totals["guided"] == pytest.approx(0.9 * error, rel=1e-3)


def test_without_dropout_prior_and_decoder_the_loss_is_the_elbo_a_site() -> None:
    plain = TINY.model_copy(
        update={"decoder_dropout": None, "auxiliary_weight": 0.0, "attached_weight": 0.0, "kl_annealing": 0.0}
    )
    model, (x, x_next, y) = model_of(plain), a_step(200)
    with torch.no_grad():
        loss = model.loss(x, x_next, y, 1.0, noise(1)).total.item()
        elbo = model.log_weights(x, x_next, y, 50, noise(2)).mean().item()
    assert loss == pytest.approx(-elbo / 256, rel=0.01)


def test_means_over_sites_and_over_latents_agree_where_they_are_as_many() -> None:
    params = TINY.model_copy(update={"latent_channels": 16, "kl_annealing": 0.0})
    step = a_step()
    losses = []
    for kl_mean in ("sites", "latents"):
        model = model_of(params.model_copy(update={"kl_mean": kl_mean}))
        losses.append(model.loss(*step, 1.0, noise()).total.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_annealing_leaves_the_kl_out_at_first() -> None:
    model, step = model_of(TINY.model_copy(update={"decoder_dropout": None})), a_step()
    early, late = model.loss(*step, 0.0, noise()), model.loss(*step, 1.0, noise())
    assert early.terms["kl"] == late.terms["kl"]
    assert (late.total - early.total).item() == pytest.approx(early.terms["kl"].item() / 256, rel=1e-4)


def test_an_unconditional_prior_is_the_standard_normal() -> None:
    model, (x, _, y) = model_of(TINY.model_copy(update={"conditional_prior": False})), a_step()
    prior = model.prior(model.context(x, y))
    assert prior.mean.shape == (6, 2, 4, 4)
    assert not prior.mean.any()
    assert torch.equal(prior.scale, torch.ones(6, 2, 4, 4))


def test_the_decoder_sees_the_parameters_only_when_told_to() -> None:
    x, _, y = a_step()
    z = torch.zeros(6, 2, 4, 4)
    for told in (False, True):
        model = model_of(TINY.model_copy(update={"condition_decoder": told}))
        differ = not torch.equal(model.decode(model.context(x, y), z), model.decode(model.context(x, y + 1), z))
        assert differ == told


def test_frozen_growth_is_monotone_and_standard_sampling_is_not(crystals, tmp_path: Path) -> None:
    start = crystals[1].start()
    frozen = fitted(TINY, crystals, tmp_path / "frozen").rollout(start, 5, np.random.default_rng(0))
    assert isinstance(frozen, GrowthTrajectories)
    free = fitted(TINY.model_copy(update={"frozen_state": False}), crystals, tmp_path / "free")
    free.conditions = Conditions(decode="sample")
    states = free.rollout(start, 5, np.random.default_rng(0))
    assert isinstance(states, FieldTrajectories)
    assert (np.diff(states.values, axis=1) < 0).any()


def test_every_switch_trains_and_simulates_in_both_precisions(crystals, tmp_path: Path) -> None:
    switches: list[dict[str, object]] = [
        {"conditional_prior": False, "auxiliary_weight": 0.0, "decoder_dropout": None},
        {"condition_decoder": True, "condition": "all", "average_learning_rate": 1e-3, "unroll": 1},
    ]
    index, t = crystals[1].transitions()
    for n, switch in enumerate(switches):
        params = LaptopParams(**{**TINY.model_dump(), **switch})
        simulator = fitted(params, crystals, tmp_path / str(n), transitions=60, precision="bfloat16")
        assert len(simulator.rollout(crystals[1].start(), 3, np.random.default_rng(0))) == 6
        x, x_next = crystals[1].at(index[:5], t[:5]), crystals[1].at(index[:5], t[:5] + 1)
        bound = simulator.log_likelihood(x, x_next, crystals[1].params[index[:5]], 3, np.random.default_rng(0))
        assert bound.dtype == np.float64
        assert np.isfinite(bound).all()


def test_an_interrupted_fit_ends_with_the_weights_of_an_uninterrupted_one(
    crystals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(TINY, crystals, tmp_path / "whole")
    monkeypatch.setattr("nsbench.neural.training.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("nsbench.neural.training.CHECKPOINT_SHARE", float("inf"))

    def kill(done: int, total: int) -> None:
        if done > 90:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CGNE(TINY).fit(*crystals, replace(make_context(tmp_path / "part"), progress=kill))
    resumed = fitted(TINY, crystals, tmp_path / "part")
    assert whole.network is not None
    assert resumed.network is not None
    expected, found = whole.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_lattice_that_cannot_be_halved_three_times_is_refused(tmp_path: Path) -> None:
    dataset = LCADataset(DatasetParams(size=20, train=4, val=2))
    train = dataset.prepare("train", np.random.default_rng(1)).framed(3, 32)
    with pytest.raises(ValueError, match="divisible by 8, got 20×20"):
        CGNE(TINY).fit(train, train, make_context(tmp_path))


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"width": 6}, {"kl_weight": -1}, {"decoder_dropout": {"first": 1, "last": 2}}, {"wdith": 8}]
)
def test_parameters_outside_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CGNEParams(**wrong)


def test_planning_imports_no_torch() -> None:
    script = """
import sys, nsbench_cgne, nsbench_cgne.laptop, nsbench_pns, nsbench_pns.laptop
print(sorted({"torch", "numba", "matplotlib"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(("entry", "sees"), [("pool", False), ("unshuffle", True)])
def test_the_posterior_sees_a_site_that_attaches_beside_attached_ones_unless_the_maps_are_pooled_first(entry, sees):
    """Of two sites in the same 2 × 2, one attached before: their maximum does not change."""
    model = model_of(TINY.model_copy(update={"encoder_entry": entry}))
    x = torch.zeros(1, 1, 16, 16)
    x[..., 4, 4] = 1
    x_next = x.clone()
    x_next[..., 5, 4] = 1
    context = model.context(x, torch.zeros(1, 1))
    same, other = model.posterior(context, x), model.posterior(context, x_next)
    assert (not torch.equal(same.mean, other.mean)) == sees


@pytest.mark.parametrize("halvings", [2, 3])
def test_latents_lie_at_a_quarter_or_an_eighth_of_the_resolution(halvings):
    for learned in (True, False):
        model = model_of(TINY.model_copy(update={"latent_halvings": halvings, "conditional_prior": learned}))
        context = model.context(torch.zeros(2, 1, 32, 32), torch.zeros(2, 1))
        assert model.prior(context).mean.shape == (2, 2, 32 >> halvings, 32 >> halvings)
        assert model.decode(context, model.prior(context).mean).shape == (2, 1, 32, 32)
