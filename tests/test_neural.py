"""Facts about nsbench.neural: the likelihood, its bounds, the training loop, rollouts."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from nsbench.components.protocol import Conditions
from nsbench.components.simulator import Diverged, FitContext
from nsbench.neural import training
from nsbench.neural.annealing import annealed_bound, annealed_weights
from nsbench.neural.averaging import Average
from nsbench.neural.batches import Shuffled
from nsbench.neural.conditioning import BoxCox, Standardise
from nsbench.neural.gaussian import Gaussian, free_bits, kl_divergence
from nsbench.neural.likelihood import importance_bound
from nsbench.neural.model import LatentModel, StepLoss, TransitionModel
from nsbench.neural.networks.layers import group_norm
from nsbench.neural.networks.padding import Convolution
from nsbench.neural.networks.resampling import (
    DoublingConvolution,
    HalvingConvolution,
    double,
    doubled_convolution,
    halve,
)
from nsbench.neural.params import TrainingParams
from nsbench.neural.randomness import generator, initialised
from nsbench.neural.schedules import Ramp, learning_rate_factor, linear_annealing
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.growth import Growth
from nsbench.neural.states.space import StateSpace
from nsbench_lca.dataset import LCADataset
from nsbench_lca.params import DatasetParams

pytestmark = pytest.mark.usefixtures("one_thread")


class Front(TransitionModel):
    """Each site attaches by itself, with a probability that a convolution of the state gives: exact."""

    def __init__(self, inputs: int) -> None:
        super().__init__(Growth())
        self.convolution = nn.Conv2d(1 + inputs, 1, 3, padding=1)

    def see(self, x: Tensor, y: Tensor) -> Tensor:
        maps = y[:, :, None, None].expand(-1, -1, *x.shape[-2:])
        logits: Tensor = self.convolution(torch.cat([x, maps], 1))
        return logits

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        logits = self.see(x, y)
        losses = F.binary_cross_entropy_with_logits(logits, x_next, reduction="none") * (1 - x)
        return StepLoss(losses.flatten(1).sum(1).mean(), logits)

    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return self.see(x, y)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        return self.space.log_density(self.see(x, y), x, x_next)[None]


class FrontSimulator(NeuralSimulator):
    likelihood = "exact"
    unroll = 1

    def build(self, space: StateSpace, inputs: int) -> TransitionModel:
        return Front(inputs)

    def unroll_length(self, fraction: float, longest: int, rng: np.random.Generator) -> int:
        return self.unroll


class OneLatent(LatentModel[Tensor]):
    """Logits a·z + b of every site, one latent z: the evidence is an integral over a line."""

    def context(self, x: Tensor, y: Tensor) -> Tensor:
        return x

    def repeat(self, context: Tensor, times: int) -> Tensor:
        return context.repeat_interleave(times, 0)

    def prior(self, context: Tensor) -> Gaussian:
        return Gaussian(torch.full((len(context), 1), 0.3), torch.full((len(context), 1), 1.2))

    def posterior(self, context: Tensor, x_next: Tensor) -> Gaussian:
        share = (x_next - context).flatten(1).mean(1, keepdim=True)
        return Gaussian(4 * share - 1, torch.full((len(context), 1), 0.9))

    def decode(self, context: Tensor, z: Tensor) -> Tensor:
        return 1.5 * z[:, :, None, None] - 0.4 + torch.zeros_like(context)


def evidence_of_one_latent(x: Tensor, x_next: Tensor) -> Tensor:
    """log ∫ p(z) p(x' | z) dz on a fine grid, float64[b]."""
    z = torch.linspace(-14, 14, 20001, dtype=torch.float64)
    grown = ((x_next > x) & (x < 1)).flatten(1).sum(1).double()[:, None]
    free = (x < 1).flatten(1).sum(1).double()[:, None]
    logit = 1.5 * z - 0.4
    given = grown * F.logsigmoid(logit) + (free - grown) * F.logsigmoid(-logit)
    prior = -0.5 * ((z - 0.3) / 1.2) ** 2 - math.log(1.2) - 0.5 * math.log(2 * math.pi)
    return torch.logsumexp(given + prior, 1) + math.log(float(z[1] - z[0]))


def grown_pairs(count: int) -> tuple[Tensor, Tensor]:
    """States and successors in which nothing detaches, [b, 1, 3, 3]."""
    rng = torch.Generator().manual_seed(0)
    x = (torch.rand(count, 1, 3, 3, generator=rng) < 0.3).float()
    return x, torch.maximum(x, (torch.rand(count, 1, 3, 3, generator=rng) < 0.4).float())


def make_context(workdir: Path, transitions: int = 300, seed: int = 0) -> FitContext:
    return FitContext(transitions=transitions, workdir=workdir, rng=np.random.default_rng(seed))


def weights_of(simulator: NeuralSimulator) -> dict[str, Tensor]:
    assert simulator.network is not None
    return {name: value.clone() for name, value in simulator.network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


RECIPE = TrainingParams(batch=8, average_from=0.5, decay="cosine", warmup=0.1, clip=1.0)


# Likelihoods


def test_kl_agrees_with_torch_distributions() -> None:
    rng = torch.Generator().manual_seed(1)
    a, b, c, d = (torch.rand(5, 7, generator=rng) + 0.1 for _ in range(4))
    expected = torch_kl(Normal(a, b), Normal(c, d))
    torch.testing.assert_close(kl_divergence(Gaussian(a, b), Gaussian(c, d)), expected)


def test_density_agrees_with_torch_distributions() -> None:
    mean, scale, z = torch.tensor([[0.5, -2.0]]), torch.tensor([[0.3, 4.0]]), torch.tensor([[0.1, 7.0]])
    expected = Normal(mean.double(), scale.double()).log_prob(z.double()).sum(1)
    torch.testing.assert_close(Gaussian(mean, scale).log_density(z), expected)


def test_free_bits_change_the_gradient_and_not_the_value() -> None:
    kl = torch.tensor([[0.05, 3.0], [0.01, 1.0]], requires_grad=True)
    charged = free_bits(kl, 0.1)
    assert torch.equal(charged, kl)
    charged.sum().backward()
    assert kl.grad is not None
    assert kl.grad.tolist() == [[0, 1], [0, 1]]


def test_attached_sites_contribute_exactly_nothing() -> None:
    x, x_next = grown_pairs(20)
    logits = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    absurd = torch.where(x > 0, torch.tensor(float("nan")), logits)
    assert torch.equal(Growth().log_density(absurd, x, x_next), Growth().log_density(logits, x, x_next))
    full = torch.ones(1, 1, 3, 3)
    assert Growth().log_density(logits[:1], full, full).item() == 0


def test_growth_that_is_undone_is_impossible_only_where_growth_is_frozen() -> None:
    x, empty, logits = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    assert Growth().log_density(logits, x, empty).item() == -math.inf
    assert Growth(frozen=False).log_density(logits, x, empty).item() == pytest.approx(4 * math.log(0.5))


def test_bounds_rise_with_samples_to_the_evidence() -> None:
    x, x_next = grown_pairs(300)
    evidence = evidence_of_one_latent(x, x_next)
    model, rng = OneLatent(Growth()), torch.Generator().manual_seed(5)
    gaps = []
    for samples in (1, 16, 64):
        bound = importance_bound(
            lambda samples: model.log_weights(x, x_next, x, samples, rng), samples=samples, at_once=32
        )
        gaps.append(evidence - bound)
    error = [float(gap.std()) / math.sqrt(len(gap)) for gap in gaps]
    means = [float(gap.mean()) for gap in gaps]
    assert means[0] > 0.2  # the posterior is a poor one, so the ELBO is loose
    assert means[0] > means[1] + 3 * error[0] > means[1] > means[2] > -3 * error[2]
    assert means[2] < 0.02


def linear_gaussian(latents: int, seen: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """x' = A z + c + 0.5 ε, z ~ N(0, 1): A, one x', the exact posterior's mean, and the exact log-evidence."""
    rng = torch.Generator().manual_seed(8)
    a = torch.randn(seen, latents, generator=rng, dtype=torch.float64)
    x_next = a @ torch.randn(latents, generator=rng, dtype=torch.float64) + 0.5
    covariance = a @ a.T + 0.25 * torch.eye(seen, dtype=torch.float64)
    evidence = torch.distributions.MultivariateNormal(torch.full((seen,), 0.3, dtype=torch.float64), covariance)
    mean = a.T @ torch.linalg.solve(covariance, x_next - 0.3)
    return a, x_next, mean, float(evidence.log_prob(x_next))


def test_annealing_finds_the_evidence_of_a_linear_gaussian_that_importance_sampling_misses() -> None:
    a, x_next, mean, evidence = linear_gaussian(6, 9)
    chains, noise = 400, torch.Generator().manual_seed(9)
    off = mean + torch.linspace(-0.5, 0.5, 6, dtype=torch.float64)  # a posterior of the wrong mean, too wide
    q = Gaussian(off.float().repeat(chains, 1), torch.full((chains, 6), 0.6))
    standard = Gaussian(torch.zeros(chains, 6), torch.ones(chains, 6))

    def log_ratio(z: Tensor) -> Tensor:
        seen = Normal(z.double() @ a.T + 0.3, 0.5).log_prob(x_next).sum(1)
        return seen + standard.log_density(z) - q.log_density(z)

    def bound(distributions: int) -> tuple[float, float]:
        weights = annealed_weights(log_ratio, q, distributions, noise)
        return float(weights.mean()), float(weights.std()) / math.sqrt(chains)

    (elbo, _), (few, few_error), (many, error) = bound(0), bound(20), bound(1000)
    assert elbo < evidence - 5
    assert elbo < few - 3 * few_error < few < many
    assert evidence - 0.5 < many <= evidence + 3 * error
    estimate = torch.logsumexp(annealed_weights(log_ratio, q, 300, noise), 0) - math.log(chains)
    assert float(estimate) == pytest.approx(evidence, abs=0.1)  # the weights are unbiased


def test_among_many_latents_annealing_is_tighter_than_as_many_importance_samples() -> None:
    a, x_next, mean, evidence = linear_gaussian(20, 30)
    noise, off = torch.Generator().manual_seed(9), mean.float() + 0.3 * torch.linspace(-1, 1, 20)

    def weigh(count: int, distributions: int) -> Tensor:
        q = Gaussian(off.repeat(count, 1), torch.full((count, 20), 0.4))
        standard = Gaussian(torch.zeros(count, 20), torch.ones(count, 20))

        def log_ratio(z: Tensor) -> Tensor:
            seen = Normal(z.double() @ a.T + 0.3, 0.5).log_prob(x_next).sum(1)
            return seen + standard.log_density(z) - q.log_density(z)

        return annealed_weights(log_ratio, q, distributions, noise)

    annealed = torch.logsumexp(weigh(16 * 40, 63).view(40, 16), 1) - math.log(16)
    plain = torch.logsumexp(weigh(1024 * 40, 0).view(40, 1024), 1) - math.log(1024)
    assert float(plain.mean()) + 0.5 < float(annealed.mean()) < evidence


def test_no_intermediate_distribution_is_the_elbo() -> None:
    x, x_next = grown_pairs(400)
    model, noise = OneLatent(Growth()), torch.Generator().manual_seed(2)
    _, prior, q = model.inferred(x, x_next, x)

    def log_ratio(z: Tensor) -> Tensor:
        seen = model.space.log_density(model.decode(x, z), x, x_next)
        return seen + prior.log_density(z) - q.log_density(z)

    weights = annealed_weights(log_ratio, q, 0, noise)
    elbo = model.log_weights(x, x_next, x, 200, noise).mean(0)
    assert float((weights - elbo).mean()) == pytest.approx(0, abs=4 * float(weights.std()) / 20)


def test_the_annealed_bound_lies_between_the_elbo_and_the_evidence_that_is_summed() -> None:
    x, x_next = grown_pairs(200)
    evidence = evidence_of_one_latent(x, x_next)
    model, noise = OneLatent(Growth()), torch.Generator().manual_seed(4)
    elbo = evidence - model.log_weights(x, x_next, x, 50, noise).mean(0)
    gap = evidence - annealed_bound(model, x, x_next, x, 30, noise)
    error = float(gap.std()) / math.sqrt(len(gap))
    assert float(elbo.mean()) > 0.2
    assert -3 * error < float(gap.mean()) < 0.02


def test_importance_weights_are_unbiased() -> None:
    x, x_next = grown_pairs(4)
    weights = OneLatent(Growth()).log_weights(x, x_next, x, 200_000, torch.Generator().manual_seed(6))
    estimate = torch.logsumexp(weights, 0) - math.log(200_000)
    torch.testing.assert_close(estimate, evidence_of_one_latent(x, x_next), atol=0.01, rtol=0)


def test_an_exact_likelihood_is_itself_at_any_number_of_samples() -> None:
    model = initialised(lambda: Front(1), 0)
    x, x_next = grown_pairs(10)
    y = torch.zeros(10, 1)
    exact = Growth().log_density(model.see(x, y), x, x_next)
    for samples in (1, 16, 64):
        bound = importance_bound(
            lambda samples: model.log_weights(x, x_next, y, samples, torch.Generator()), samples, at_once=8
        )
        torch.testing.assert_close(bound, exact, atol=1e-12, rtol=0)


def test_a_likelihood_in_chunks_needs_a_sample_at_least() -> None:
    with pytest.raises(ValueError, match="samples must be >= 1, got 0"):
        importance_bound(lambda samples: torch.zeros(samples, 1), 0, at_once=4)


# Schedules, averages, batches, layers


def test_a_ramp_is_flat_linear_flat() -> None:
    ramp = Ramp(first=1.0, last=0.1, begin=0.1, end=0.19)
    assert [ramp.at(f) for f in (0, 0.1, 0.145, 0.19, 1)] == pytest.approx([1, 1, 0.55, 0.1, 0.1])
    with pytest.raises(ValueError, match="begin must be <= end"):
        Ramp(first=1, last=0, begin=0.5, end=0.4)


def test_annealing_and_learning_rate_follow_the_fraction_spent() -> None:
    assert [linear_annealing(f, 0.16) for f in (0, 0.08, 0.16, 1)] == [0, 0.5, 1, 1]
    assert linear_annealing(0, 0) == 1
    assert learning_rate_factor(0.05, 0.1, "cosine") == pytest.approx(0.5)
    assert learning_rate_factor(0.55, 0.1, "cosine") == pytest.approx(0.5)
    assert learning_rate_factor(1.0, 0.1, "cosine") == pytest.approx(0)
    assert learning_rate_factor(1.0, 0.1, "constant") == 1


def test_an_average_without_decay_is_the_mean_and_with_decay_forgets() -> None:
    module = nn.Linear(1, 1, bias=False)
    mean, moving = Average(module, None), Average(module, 0.5)
    for value in (1.0, 2.0, 6.0):
        with torch.no_grad():
            module.weight.fill_(value)
        mean.update()
        moving.update()
    assert mean.weights["weight"].item() == pytest.approx(3.0)
    assert moving.weights["weight"].item() == pytest.approx(0.5 * 6 + 0.5 * 1.5)
    mean.swap()
    assert module.weight.item() == pytest.approx(3.0)
    assert mean.weights["weight"].item() == pytest.approx(6.0)


def test_every_transition_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    starts = Shuffled(10, seed=3)
    first, second = starts.take(0, 10), starts.take(10, 10)
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)
    assert list(starts.take(7, 6)) == [*first[7:], *second[:3]]


def test_group_norm_keeps_two_channels_a_group() -> None:
    assert [group_norm(c).num_groups for c in (64, 256, 16, 6, 1, 7)] == [32, 32, 8, 3, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resampling_is_that_of_torch(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).relu().to(dtype)  # ties at zero
    pairs = [
        (halve, lambda x: F.max_pool2d(x, 2)),
        (double, lambda x: F.interpolate(x, scale_factor=2, mode="nearest")),
    ]
    for ours, torchs in pairs:
        results = []
        for function in (ours, torchs):
            inputs = x.clone().requires_grad_()
            out = function(inputs)
            out.backward(torch.arange(out.numel()).remainder(7).view(out.shape).to(dtype))
            results.append((out.detach(), inputs.grad))
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])
        with torch.no_grad():
            assert torch.equal(ours(x), torchs(x))


def test_a_parameter_that_never_differs_becomes_zero() -> None:
    standardise = Standardise(2)
    params = np.stack([np.linspace(0.35, 0.64, 11), np.full(11, 0.1)], 1)
    standardise.measure(params)
    y = standardise(torch.from_numpy(params).float())
    assert y[:, 0].std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert y[:, 1].abs().max().item() < 1e-5


def test_parameters_are_transformed_as_box_and_cox_say_before_they_are_standardised() -> None:
    """What is normal as a logarithm has λ = 0; what never differs, or is not positive, keeps its own scale."""
    rng = np.random.default_rng(0)
    params = np.stack(
        [rng.uniform(0.35, 0.64, 4000) ** 0.25, np.exp(rng.normal(size=4000)), *np.full((2, 4000), 0.1)], 1
    )
    params[:, 3] = rng.normal(size=4000)
    scale = BoxCox(4, "likelihood")
    scale.measure(params)
    y = scale(torch.from_numpy(params))
    assert scale.power[1].item() == pytest.approx(0, abs=0.03)
    assert scale.power[0].item() > 2
    assert scale.power[2:].tolist() == [1, 1]
    expected = (params[:, 0] ** scale.power[0].item() - 1) / scale.power[0].item()
    np.testing.assert_allclose(y[:, 0], (expected - expected.mean()) / expected.std(), atol=1e-3)
    np.testing.assert_allclose(y[:, 3], (params[:, 3] - params[:, 3].mean()) / params[:, 3].std(), atol=1e-5)
    assert y[:, 2].abs().max() < 1e-5
    plain = Standardise(4)
    plain.measure(params)
    assert (plain(torch.from_numpy(params).float())[:, 0] - y[:, 0]).abs().max() > 0.05


def test_the_scale_of_the_parameters_is_saved_with_the_weights(crystals, tmp_path: Path) -> None:
    simulator = FrontSimulator(RECIPE.model_copy(update={"condition_power": 3.83}))
    simulator.fit(*crystals, make_context(tmp_path / "fit", 20))
    simulator.save(tmp_path / "saved")
    loaded = FrontSimulator(simulator.params)
    loaded.load(tmp_path / "saved")
    powers = weights_of(loaded)["standardise.power"]
    assert powers.tolist() == pytest.approx([3.83])
    assert same(weights_of(loaded), weights_of(simulator))


# Training


def test_a_fit_spends_its_budget_and_never_more(crystals, tmp_path: Path) -> None:
    for unroll, budget in ((1, 301), (5, 300), (50, 7)):
        spent: list[tuple[int, int]] = []
        simulator = FrontSimulator(RECIPE)
        simulator.unroll = unroll
        ctx = make_context(tmp_path / str(unroll), budget)
        simulator.fit(*crystals, replace(ctx, progress=lambda done, total, spent=spent: spent.append((done, total))))
        assert spent[-1] == (budget, budget)
        assert all(a < b for (a, _), (b, _) in pairwise(spent))


def test_a_fit_learns_that_crystals_grow(crystals, tmp_path: Path) -> None:
    curve: list[tuple[str, float]] = []
    simulator = FrontSimulator(TrainingParams(batch=8, learning_rate=0.02))
    ctx = make_context(tmp_path, 1500)
    simulator.fit(*crystals, replace(ctx, log=lambda name, value, step: curve.append((name, value))))
    bounds = [value for name, value in curve if name == "val/elbo"]
    assert bounds[-1] > 0.3 * bounds[0]
    assert len(curve) <= 400


def test_seeds_decide_everything(crystals, tmp_path: Path) -> None:
    fitted = []
    for seed in (0, 0, 1):
        simulator = FrontSimulator(RECIPE)
        simulator.fit(*crystals, make_context(tmp_path / str(len(fitted)), seed=seed))
        fitted.append(simulator)
    assert same(weights_of(fitted[0]), weights_of(fitted[1]))
    assert not same(weights_of(fitted[0]), weights_of(fitted[2]))
    start = crystals[1].start()
    fitted[0].conditions = Conditions(decode="sample")
    rolled = [fitted[0].rollout(start, 8, np.random.default_rng(s)).arrays()["arrival"] for s in (0, 0, 1)]
    assert np.array_equal(rolled[0], rolled[1])
    assert not np.array_equal(rolled[0], rolled[2])


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "muon"])
def test_an_interrupted_fit_ends_with_the_weights_of_an_uninterrupted_one(
    crystals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": optimizer})
    whole = FrontSimulator(recipe)
    whole.fit(*crystals, make_context(tmp_path / "whole"))
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", math.inf)

    class Killed(Exception):
        pass

    def kill(after: int):
        def progress(done: int, total: int) -> None:
            if done >= after:
                raise Killed

        return progress

    for after in (60, 200):  # before and while weights are averaged
        with pytest.raises(Killed):
            FrontSimulator(recipe).fit(*crystals, replace(make_context(tmp_path / "part"), progress=kill(after)))
    begun: list[int] = []
    resumed = FrontSimulator(recipe)
    ctx = replace(make_context(tmp_path / "part"), progress=lambda done, total: begun.append(done))
    resumed.fit(*crystals, ctx)
    assert begun[0] > 190
    assert same(weights_of(resumed), weights_of(whole))


def test_a_checkpoint_of_another_training_is_not_continued(
    crystals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", math.inf)
    FrontSimulator(RECIPE).fit(*crystals, make_context(tmp_path, seed=1))
    alone = FrontSimulator(RECIPE)
    alone.fit(*crystals, make_context(tmp_path / "alone"))
    simulator = FrontSimulator(RECIPE)
    with pytest.warns(UserWarning, match="is of another training"):
        simulator.fit(*crystals, make_context(tmp_path))
    assert same(weights_of(simulator), weights_of(alone))


def test_a_damaged_checkpoint_is_set_aside_and_the_training_begins_anew(
    crystals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", math.inf)
    whole, ctx = FrontSimulator(RECIPE), make_context(tmp_path)
    whole.fit(*crystals, ctx)
    path = ctx.workdir / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # among the weights: the file still reads as one
    path.write_bytes(content)
    again, begun = FrontSimulator(RECIPE), []
    with pytest.warns(UserWarning, match="has changed since it was written; moved to checkpoint.safetensors.damaged-"):
        again.fit(*crystals, replace(make_context(tmp_path), progress=lambda done, total: begun.append(done)))
    assert begun[0] < 190
    assert same(weights_of(again), weights_of(whole))


def test_the_global_generators_are_left_alone(crystals, tmp_path: Path) -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    simulator = FrontSimulator(RECIPE)
    simulator.fit(*crystals, make_context(tmp_path))
    simulator.conditions = Conditions(decode="sample")
    simulator.rollout(crystals[1].start(), 4, np.random.default_rng(0))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_a_generator_is_a_function_of_its_numbers() -> None:
    draws = [torch.rand(3, generator=generator(torch.device("cpu"), *n)) for n in ((1, 2), (1, 2), (1, 3))]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


class Exploding(Front):
    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        out = super().loss(x, x_next, y, fraction, generator)
        return replace(out, total=out.total / (0 if fraction > 0.5 else 1))


class ExplodingSimulator(FrontSimulator):
    def build(self, space: StateSpace, inputs: int) -> TransitionModel:
        return Exploding(inputs)


def test_a_loss_that_is_not_finite_stops_the_fit_and_says_when(crystals, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"the loss became inf after 1\d\d transitions"):
        ExplodingSimulator(RECIPE).fit(*crystals, make_context(tmp_path))


class Recording(Front):
    """Predicts that everything attaches, and keeps what it was shown."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        self.seen: list[Tensor] = []

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        self.seen.append(x)
        return replace(super().loss(x, x_next, y, fraction, generator), guided=torch.ones_like(x))


def test_an_unroll_goes_on_from_the_state_that_the_model_made(crystals, tmp_path: Path) -> None:
    model = Recording(1)
    simulator = FrontSimulator(RECIPE)
    simulator.unroll, simulator.build = 2, lambda space, inputs: model  # type: ignore[method-assign]
    simulator.fit(*crystals, make_context(tmp_path, 15))
    first, second = model.seen[:2]
    assert not first.bool().all()
    assert second.bool().all()


class Masked(Recording):
    """Keeps the truth beside the states that it made itself."""

    def guided_loss(self, truth, x, x_next, y, fraction, generator):
        self.truths = [*getattr(self, "truths", []), truth]
        return super().guided_loss(truth, x, x_next, y, fraction, generator)


def recorded(crystals, workdir: Path, transitions: int, recipe: TrainingParams, unroll: int) -> Masked:
    model = Masked(1)
    simulator = FrontSimulator(recipe)
    simulator.unroll, simulator.build = unroll, lambda space, inputs: model  # type: ignore[method-assign]
    simulator.fit(*crystals, make_context(workdir, transitions))
    return model


def test_in_an_unroll_the_truth_stands_beside_the_state_that_the_model_made(crystals, tmp_path: Path) -> None:
    model = recorded(crystals, tmp_path, 15, RECIPE, 2)
    index, t = crystals[0].transitions()
    first, second, truth = model.seen[0], model.seen[1], model.truths[0]
    assert len(model.truths) == 1
    assert second.bool().all()
    starts = {crystals[0].at(index[[k]], t[[k]]).tobytes(): k for k in range(len(index))}
    nexts = {crystals[0].at(index[[k]], t[[k]] + 1).tobytes() for k in range(len(index))}
    assert all(x[None].numpy().tobytes() in starts for x in first)
    assert all(x[None].numpy().tobytes() in nexts for x in truth)
    assert not truth.bool().all()


@pytest.mark.parametrize("every", [1, 4])
def test_sequences_begin_at_every_so_many_th_frame(crystals, tmp_path: Path, every: int) -> None:
    recipe = RECIPE.model_copy(update={"start_every": every, "batch": 64})
    index, t = crystals[0].transitions()
    count = int((t % every == 0).sum())
    model = recorded(crystals, tmp_path, count, recipe, 1)  # one pass
    seen = sorted(x.numpy().tobytes() for x in torch.cat(model.seen))
    chosen = t % every == 0
    assert seen == sorted(x.tobytes() for x in crystals[0].at(index[chosen], t[chosen]))


def test_gradients_are_clipped_after_each_frame_or_after_the_unroll(crystals, tmp_path: Path, monkeypatch) -> None:
    """After each frame: what the frames before it left is clipped again with it."""
    norms: dict[str, list[float]] = {"unroll": [], "frame": []}
    clip = torch.nn.utils.clip_grad_norm_
    for when, found in norms.items():
        monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *a, found=found: found.append(clip(*a).item()))
        simulator = FrontSimulator(RECIPE.model_copy(update={"clip": 1e-3, "clip_after": when}))
        simulator.unroll = 3
        simulator.fit(*crystals, make_context(tmp_path / when, 3 * 8))
    assert len(norms["unroll"]) == 1
    assert len(norms["frame"]) == 3 + 1  # and before the step, which changes nothing any more
    assert norms["frame"][-1] == pytest.approx(1e-3, rel=1e-3)
    assert min(norms["unroll"][0], norms["frame"][0]) > 1e-2


def averaging(every: float | None, annealing: float) -> training.Training:
    """A training of 1,000 transitions that averages from 0.8 on, not begun."""
    recipe = TrainingParams(
        batch=10, average_from=0.8, average_every=every, average_learning_rate=0.01, average_annealing=annealing
    )
    made = object.__new__(training.Training)
    made.recipe, made.average, made.model = recipe, None, Front(1)
    made.ctx = make_context(Path(), 1000)
    return made


def test_stochastic_weight_averaging_takes_one_sample_an_epoch() -> None:
    """A hundred epochs of ten steps: the last twenty join, each with the weights at its beginning."""
    made = averaging(0.01, 0.1)
    taken = []
    for made.done in range(1, 1000):
        count = made.average.count if made.average else 0
        made.take_average()
        if made.average and made.average.count > count:
            taken.append(made.done)
    assert taken == list(range(800, 1000, 10))
    every = averaging(None, 0.0)
    for every.done in range(1, 1000):
        every.take_average()
    assert every.average.count == 200


def test_the_rate_of_averaging_is_approached_epoch_by_epoch() -> None:
    """By half a cosine over ten epochs, constant within each: torch's SWALR."""
    made = averaging(0.01, 0.1)
    model = Front(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=made.recipe.learning_rate)
    theirs = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.01, anneal_epochs=10, anneal_strategy="cos")
    rates = []
    for _ in range(15):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    ours = [made.learning_rate(0.8 + 0.01 * epoch + within) for epoch in range(15) for within in (0, 0.004, 0.009)]
    np.testing.assert_allclose(ours[::3], rates, rtol=1e-6)
    assert ours[::3] == ours[1::3] == ours[2::3]
    assert made.learning_rate(0.79) == made.recipe.learning_rate
    assert averaging(None, 0.0).learning_rate(0.8) == 0.01


# Rollouts, weights, devices


def fitted(crystals, tmp_path: Path) -> FrontSimulator:
    simulator = FrontSimulator(TrainingParams(batch=8, learning_rate=0.02))
    simulator.fit(*crystals, make_context(tmp_path, 2000))
    return simulator


def test_growth_is_monotone_and_ends_at_the_stop_rule(crystals, tmp_path: Path) -> None:
    simulator = fitted(crystals, tmp_path)
    simulator.conditions = Conditions(decode="sample")
    rolled = simulator.rollout(crystals[1].start(), 20, np.random.default_rng(0))
    states = np.stack([rolled.frame(t) for t in range(21)])
    assert np.all(np.diff(states, axis=0) >= 0)
    assert np.array_equal(rolled.frame(0), crystals[1].frame(0))
    stop = rolled.domain.stop_sites()
    reached = (states[:, :, 0] * stop).any(axis=(2, 3))  # [T, n]
    assert reached.any()
    for n, length in enumerate(rolled.lengths):
        assert not reached[: length - 1, n].any()
        assert reached[length - 1, n] or length == 21
    assert np.array_equal(rolled.stopped().lengths, rolled.lengths)


def test_a_rollout_does_not_depend_on_what_is_rolled_out_beside_it(crystals, tmp_path: Path) -> None:
    simulator = fitted(crystals, tmp_path)
    both = simulator.rollout(crystals[1].start(), 6, np.random.default_rng(0))
    alone = simulator.rollout(crystals[1].start().select(slice(2, 3)), 6, np.random.default_rng(0))
    assert np.array_equal(both.select(slice(2, 3)).arrays()["arrival"], alone.arrays()["arrival"])


def test_weights_survive_a_save_and_a_load(crystals, tmp_path: Path) -> None:
    simulator = fitted(crystals, tmp_path / "fit")
    simulator.save(tmp_path / "saved")
    assert {p.suffix for p in (tmp_path / "saved").iterdir()} == {".safetensors", ".json"}
    loaded = FrontSimulator(simulator.params)
    loaded.load(tmp_path / "saved")
    start = crystals[1].start()
    a, b = (s.rollout(start, 6, np.random.default_rng(0)).arrays()["arrival"] for s in (simulator, loaded))
    assert np.array_equal(a, b)


class Wider(Front):
    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        self.convolution = nn.Conv2d(1 + inputs, 1, 5, padding=2)
        self.extra = nn.Linear(1, 1, bias=False)


class WiderSimulator(FrontSimulator):
    def build(self, space: StateSpace, inputs: int) -> TransitionModel:
        return Wider(inputs)


def test_weights_of_another_architecture_are_refused_with_what_differs(crystals, tmp_path: Path) -> None:
    fitted(crystals, tmp_path / "fit").save(tmp_path / "saved")
    with pytest.raises(
        ValueError, match=r"model.convolution.weight is \[1, 2, 3, 3\] and should be \[1, 2, 5, 5\]"
    ) as e:
        WiderSimulator(RECIPE).load(tmp_path / "saved")
    assert "model.extra.weight is missing" in str(e.value)


def test_an_unfitted_simulator_says_so(crystals) -> None:
    with pytest.raises(RuntimeError, match="has learned nothing yet"):
        FrontSimulator(RECIPE).rollout(crystals[1].start(), 3, np.random.default_rng(0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_one_is_an_error_that_says_so(crystals, tmp_path: Path) -> None:
    ctx = replace(make_context(tmp_path), conditions=Conditions(device="cuda"))
    with pytest.raises(RuntimeError, match="finds no CUDA device"):
        FrontSimulator(RECIPE).fit(*crystals, ctx)


def test_a_model_of_one_size_grows_crystals_of_another(crystals, tmp_path: Path) -> None:
    simulator = fitted(crystals, tmp_path)
    large = LCADataset(DatasetParams(size=24, val=3)).prepare("val", np.random.default_rng(0)).framed(3, 32)
    assert simulator.rollout(large.start(), 5, np.random.default_rng(0)).frame(5).shape == (3, 1, 24, 24)


def test_the_flops_of_a_convolution_are_counted(crystals, tmp_path: Path) -> None:
    simulator = fitted(crystals, tmp_path)
    start = crystals[1].start()
    per_step = 2 * 9 * 2 * 16 * 16  # 3×3 taps, two maps in, one out, two operations each
    assert simulator.flops(start, 1, np.random.default_rng(0)) == per_step
    assert simulator.size() == 9 * 2 + 1


def test_nothing_warns_in_an_ordinary_fit(crystals, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FrontSimulator(RECIPE).fit(*crystals, make_context(tmp_path))


@pytest.mark.parametrize(
    ("boundary", "mode"), [("open", "constant"), ("periodic", "circular"), ("closed", "replicate")]
)
def test_strided_convolutions_see_beyond_the_lattice_what_stands_there(boundary, mode):
    """As on a larger lattice that was continued in that way, of which the middle is kept."""
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    larger = F.pad(x, (2,) * 4, mode)
    for layer, kept in ((HalvingConvolution(3), 1), (DoublingConvolution(3), 4)):
        expected = layer(larger)[:, :, kept:-kept, kept:-kept]
        layer.boundaries = (boundary, boundary)
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("boundaries", [("open",) * 2, ("periodic",) * 2, ("closed", "open"), ("mirror", "periodic")])
def test_a_convolution_of_doubled_maps_is_the_same_without_doubling_them(boundaries):
    convolution = Convolution(5, 7).double()
    convolution.boundaries = boundaries
    x = torch.randn(2, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    plain, ours = convolution(double(x)), doubled_convolution(x, convolution)
    torch.testing.assert_close(ours, plain)
    for one, other in zip(
        torch.autograd.grad(ours.square().sum(), [x, convolution.weight]),
        torch.autograd.grad(plain.square().sum(), [x, convolution.weight]),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
