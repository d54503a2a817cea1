"""The Fourier neural operator: its convolution is one on a torus, of waves and not of sites."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nsbench.neural.networks.fourier import FNO, SpectralConvolution, least_side, require_periodic

pytestmark = pytest.mark.usefixtures("one_thread")


def convolution(modes=3, inputs=2, outputs=3):
    torch.manual_seed(0)
    return SpectralConvolution(inputs, outputs, modes)


def maps(height, width, channels=2, count=2):
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(1))


def operator(modes=3):
    torch.manual_seed(0)
    network = FNO(2, 1, 6, modes, 2, vector=4)
    for block in network.blocks:
        torch.nn.init.normal_(block.modulation.linear.weight)  # 0 before training: the vector would do nothing
    return network


VECTOR = torch.tensor([[0.3, -1.0, 0.5, 2.0], [1.0, 0.2, -0.7, 0.1]])


@pytest.mark.parametrize("shape", [(5, 5), (6, 9), (8, 8)])
def test_a_spectral_convolution_is_a_circular_convolution(shape):
    """Its kernel is the response to a single site; the sum over all shifts of it, site by site, is the convolution."""
    layer, x = convolution(), maps(*shape)
    kernel = np.zeros((3, 2, *shape))
    for channel in range(2):
        impulse = torch.zeros(1, 2, *shape)
        impulse[0, channel, 0, 0] = 1
        kernel[:, channel] = layer(impulse)[0].detach().double().numpy()
    assert np.abs(kernel).max() > 0.01
    expected = np.zeros((2, 3, *shape))
    for i in range(shape[0]):
        for j in range(shape[1]):
            shifted = np.roll(kernel, (i, j), (2, 3))
            expected += np.einsum("bc,ocij->boij", x[:, :, i, j].double().numpy(), shifted)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 6), (8, 8), (12, 7)])
def test_a_spectral_convolution_is_that_of_the_fast_fourier_transform(shape):
    layer, x = convolution(), maps(*shape)
    spectrum = torch.fft.rfft2(x, norm="forward")
    rows = [k % shape[0] for k in range(-2, 3)]
    weight = torch.view_as_complex(layer.weight.permute(1, 2, 3, 4, 0).contiguous())  # [rows, columns, C, O]
    mixed = torch.zeros(2, 3, shape[0], shape[1] // 2 + 1, dtype=torch.complex64)
    mixed[:, :, rows, :3] = torch.einsum("bcrk,rkco->bork", spectrum[:, :, rows, :3], weight)
    torch.testing.assert_close(layer(x), torch.fft.irfft2(mixed, s=shape, norm="forward"), atol=1e-5, rtol=1e-4)


def test_maps_of_long_waves_have_the_same_output_on_every_lattice():
    """Of the whole operator too: between its spectral convolutions every site is by itself, but for harmonics."""
    coarse, fine = (
        np.meshgrid(*(2 * np.pi * np.arange(n) / n for n in (side, side)), indexing="ij") for side in (16, 48)
    )

    def wave(at):
        rows, columns = at
        one = np.cos(rows - 2 * columns) + 0.5 * np.sin(2 * rows)
        return torch.from_numpy(np.stack([one, np.sin(columns)])[None]).float()

    layer = convolution()
    torch.testing.assert_close(layer(wave(coarse)), layer(wave(fine))[:, :, ::3, ::3], atol=1e-5, rtol=1e-4)
    network = operator()
    with torch.no_grad():
        one, other = network(wave(coarse), VECTOR[:1]), network(wave(fine), VECTOR[:1])[:, :, ::3, ::3]
    assert (one - other).abs().max() < 0.02 * one.std()


def test_the_operator_commutes_with_translations():
    network, x = operator(), maps(8, 10)
    for axis in (2, 3):
        torch.testing.assert_close(
            network(x.roll(3, axis), VECTOR), network(x, VECTOR).roll(3, axis), atol=1e-5, rtol=1e-4
        )
    assert not torch.allclose(network(x, VECTOR), network(x, VECTOR.flip(0)), atol=1e-3)


def test_its_gradient_is_that_of_finite_differences():
    layer = convolution(modes=2, inputs=1, outputs=1).double()
    x, direction = maps(4, 5, 1).double(), torch.randn(layer.weight.shape, dtype=torch.float64)
    loss = (layer(x).double() ** 2).sum()
    slope = (torch.autograd.grad(loss, layer.weight)[0] * direction).sum().item()
    values = []
    for step in (1e-2, -1e-2):
        with torch.no_grad():
            layer.weight += step * direction
            values.append((layer(x).double() ** 2).sum().item())
            layer.weight -= step * direction
    assert slope == pytest.approx((values[0] - values[1]) / 2e-2, rel=1e-3)


def test_under_bfloat16_a_spectral_convolution_is_computed_in_float32():
    layer, x = convolution(), maps(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        inside = layer(x)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, layer(x))


def test_on_the_shortest_side_all_waves_can_be_told_apart_and_on_a_shorter_one_not():
    layer = convolution(modes=4, inputs=1, outputs=1)
    side = least_side(4)
    for n, distinct in ((side, True), (side - 1, False)):
        gram = layer._columns(torch.zeros(1, 1, n, n))
        gram = gram.T @ gram
        rank = int(torch.linalg.matrix_rank(gram.double(), atol=1e-3))
        assert (rank == 2 * 4 - 1) == distinct  # the sine of wave number 0 is none


def test_a_lattice_with_an_edge_is_refused():
    require_periodic(("periodic", "periodic"), "it")
    with pytest.raises(
        ValueError, match="it works on lattices that are periodic on both axes, and this one is periodic"
    ):
        require_periodic(("periodic", "open"), "it")
