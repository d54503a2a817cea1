"""Muon: held against the singular value decomposition, torch's own Muon, and torch's AdamW."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nsbench.neural.muon import MOMENTUM, RATE, Muon, orthogonalised

pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(3, 16, 144), (2, 48, 9), (1, 5, 5)])
def test_orthogonalised_matrices_keep_their_singular_vectors_and_lose_their_values(shape):
    matrices = torch.randn(shape, generator=generator(), dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    turned = u.transpose(1, 2) @ orthogonalised(matrices) @ v.transpose(1, 2)  # diagonal, in their own frames
    values = turned.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(turned, torch.diag_embed(values), atol=1e-5, rtol=0)
    assert values.max() < 1.3
    assert values.quantile(0.2) > 0.6  # the smallest ones, near 0 before, are still on their way


def stepped(optimizer, module, steps=5):
    """The module's weights after some steps down random, fixed gradients."""
    for k in range(steps):
        for weight in module.parameters():
            weight.grad = torch.randn(weight.shape, generator=generator(k))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return [weight.detach() for weight in module.parameters()]


def alike(make):
    """Two equal modules."""
    modules = make(), make()
    modules[1].load_state_dict(modules[0].state_dict())
    return modules


@pytest.mark.parametrize(("outputs", "inputs"), [(6, 2), (40, 3)])
def test_a_convolution_s_steps_are_those_of_torch_s_muon_on_the_flat_weight(outputs, inputs):
    """torch's works in bfloat16, and takes the longer side for rows as it comes."""
    ours, theirs = alike(lambda: nn.Conv2d(inputs, outputs, 3, bias=False))
    flat = nn.Module()
    flat.weight = nn.Parameter(theirs.weight.detach().flatten(1))
    muon = torch.optim.Muon([flat.weight], lr=RATE * 1e-3, weight_decay=0.1 / RATE, momentum=MOMENTUM)
    before = ours.weight.detach().clone()
    for k in range(4):
        ours.weight.grad = torch.randn(ours.weight.shape, generator=generator(k))
        flat.weight.grad = ours.weight.grad.flatten(1) * (1 - MOMENTUM)  # torch's momentum is a mean, ours a sum
        if k == 0:
            optimizer = Muon([ours.weight], 1e-3, 0.1)
        optimizer.step()
        muon.step()
    moved, expected = (ours.weight - before).flatten(1), flat.weight - before.flatten(1)
    assert torch.linalg.norm(moved - expected) < 0.03 * torch.linalg.norm(expected)


def test_other_weights_are_stepped_by_adamw():
    ours, theirs = alike(lambda: nn.Linear(7, 5))
    expected = stepped(torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1), theirs)
    for weight, other in zip(stepped(Muon(ours.parameters(), 1e-2, 0.1), ours), expected, strict=True):
        torch.testing.assert_close(weight, other)


def test_layers_do_not_touch_each_other():
    """Weights of one shape are stepped together, and end as each would alone."""
    both, alone = alike(lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 2, 1)))
    for module, groups in ((both, [both]), (alone, list(alone))):
        optimizers = [Muon(group.parameters(), 1e-2, 0.1) for group in groups]
        for k in range(3):
            for n, weight in enumerate(module.parameters()):
                weight.grad = torch.randn(weight.shape, generator=generator(10 * k + n))
            for optimizer in optimizers:
                optimizer.step()
    for weight, other in zip(both.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(weight, other)


def test_a_step_is_as_large_whatever_the_gradient():
    sizes = []
    for scale in (1e-4, 1.0, 1e4):
        layer = nn.Conv2d(4, 8, 3, bias=False)
        before = layer.weight.detach().clone()
        layer.weight.grad = scale * torch.randn(layer.weight.shape, generator=generator())
        Muon([layer.weight], 1e-3, 0.0).step()
        sizes.append(torch.linalg.matrix_norm((layer.weight.detach() - before).flatten(1), 2).item())
    assert sizes == pytest.approx([sizes[0]] * 3, rel=1e-3)
    assert 0.7 * RATE * 1e-3 < sizes[0] < 1.3 * RATE * 1e-3
