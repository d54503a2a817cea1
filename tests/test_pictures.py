"""Pictures: the crystal's symmetry, the frames of an animation, what a pixel shows."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from nsbench.report.colours import BACKGROUND, label_colours, site_colours
from nsbench.report.pictures import animate, by_frame, span_ends, spread, still
from nsbench.trajectories.domain import Domain, Observable, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench.trajectories.plane import draw_sites, fold, site_map
from nsbench_lca.kernel import grow

SIZE = 12


def domain(lattice="hexagonal-quadrant", *, states="growth", shape=(SIZE, SIZE)):
    area = Observable("area", "sites", lambda state: state.sum(axis=(1, 2, 3)).astype(np.float64))
    rho = Parameter("rho", 0.3, 0.6)
    return Domain(lattice, shape, ("attached",), states, (rho,), "rho", (area,), stride=1)


def growth(cases=3, frames=7, lattice="hexagonal-quadrant", seed=0):
    arrival = np.random.default_rng(seed).integers(-1, frames, (cases, SIZE, SIZE)).astype(np.int32)
    arrival[:, 0, 0], arrival[:, 1, 1] = 0, frames - 1
    lengths = np.full(cases, frames, np.int32)
    rho = np.linspace(0.3, 0.6, cases)[:, None]
    return GrowthTrajectories(rho, lengths, domain(lattice), arrival)


def six_neighbours(u, v):
    return [(u + 1, v), (u - 1, v), (u, v + 1), (u, v - 1), (u + 1, v + 1), (u - 1, v - 1)]


def test_unfolded_axes_mirror_as_the_lattice_says():
    """Site (−1, j) is (1, j + 1) and (i, −1) is (i + 1, 1)."""
    k = np.arange(6)
    assert np.array_equal(fold(np.full(6, -1), k), (np.ones(6), k + 1))
    assert np.array_equal(fold(k, np.full(6, -1)), (k + 1, np.ones(6)))


@pytest.fixture(scope="module")
def noise_free():
    """int32[24, 24], a crystal grown without noise: the rules and its seed know no direction."""
    return grow([0.5], size=24, sigma=0.0, seed=0).arrival[0]


def hexagon(radius):
    """Sites (u, v) within a distance of the centre, in steps on the lattice."""
    u, v = (axis.ravel() for axis in np.mgrid[-radius : radius + 1, -radius : radius + 1])
    keep = abs(u - v) <= radius
    return u[keep], v[keep]


def test_whole_crystal_grown_without_noise_is_six_fold(noise_free):
    """A rotation by 60° takes site (u, v) to (u − v, u)."""
    u, v = hexagon(23)
    assert np.array_equal(noise_free[fold(u, v)], noise_free[fold(u - v, u)])
    assert np.ptp(noise_free[fold(u, v)]) > 0


def test_whole_crystal_of_a_mirror_symmetric_quadrant_is_three_fold():
    quadrant = np.random.default_rng(0).normal(size=(SIZE, SIZE))
    quadrant += quadrant.T
    u, v = hexagon(SIZE - 1)
    assert np.array_equal(quadrant[fold(u, v)], quadrant[fold(-v, u - v)])  # by 120°
    assert np.array_equal(quadrant[fold(u, v)], quadrant[fold(v, u)])


def test_drawn_crystal_is_symmetric_under_half_a_turn_and_mirrors(noise_free):
    image = draw_sites(noise_free, "hexagonal-quadrant", 481, outside=-2)
    for mirrored in (image[::-1], image[:, ::-1], image[::-1, ::-1]):
        assert (image == mirrored).mean() > 0.98  # all but pixels on the border of two sites


def test_neighbours_stay_neighbours_when_folded():
    for u in range(-4, 5):
        for v in range(-4, 5):
            i, j = (int(k) for k in fold(np.array(u), np.array(v)))
            for a, b in six_neighbours(u, v):
                p, q = (int(k) for k in fold(np.array(a), np.array(b)))
                across_the_seam = (p, q) in six_neighbours(j, i)  # transposed: the axis at 240° has two readings
                assert (p, q) in [(i, j), (j, i), *six_neighbours(i, j)] or across_the_seam


@pytest.mark.parametrize("lattice", ["hexagonal-quadrant", "hexagonal", "square"])
def test_every_site_is_drawn_at_about_the_same_size(lattice):
    index = site_map(lattice, (SIZE, SIZE), 240)
    counts = np.bincount(index[index >= 0], minlength=SIZE * SIZE)
    assert counts.min() > 0
    copies = 1
    if lattice == "hexagonal-quadrant":  # the centre once, a site of an axis and others three times
        copies = np.full((SIZE, SIZE), 3.0)
        copies[0, 0] = 1
        copies[0, 1:] = copies[1:, 0] = 1.5  # the third axis reads both
    shares = counts.reshape(SIZE, SIZE) / copies
    inner = shares[1:-1, 1:-1]
    assert inner.max() / inner.min() < 1.3


def test_square_lattice_is_drawn_as_its_array():
    values = np.arange(6).reshape(2, 3)
    assert np.array_equal(draw_sites(values, "square", 3), values)


def test_animation_has_a_frame_for_each_state():
    image = Image.open(BytesIO(animate(growth(), growth(seed=1), cases=[0, 2], labels=("truth", "other"))))
    assert (image.format, image.n_frames, image.info["loop"]) == ("GIF", 7, 0)


def test_animation_keeps_to_its_limit_of_frames():
    image = Image.open(BytesIO(animate(growth(frames=40), growth(frames=40), cases=[0], limit=10)))
    assert image.n_frames == 10


def test_equal_rollouts_are_drawn_equal_to_the_truth():
    truth = growth()
    picture = np.asarray(Image.open(BytesIO(still(truth, truth, cases=[1], labels=("a", "a")))).convert("RGB"))
    other = np.asarray(Image.open(BytesIO(still(truth, growth(seed=5), cases=[1], labels=("a", "a")))).convert("RGB"))
    height = site_map("hexagonal-quadrant", (SIZE, SIZE), 180).shape[0]
    top = 34
    upper, lower = picture[top : top + height], picture[top + height + 8 : top + 2 * height + 8]
    assert np.array_equal(upper, lower)
    assert not np.array_equal(other, picture)


def test_members_of_a_case_lie_side_by_side():
    truth = growth(cases=2)
    doubled = truth.select(np.array([0, 1, 1, 0]))  # the first members are cases 0 and 1
    assert still(truth, doubled, cases=[0, 1], members=2) == still(truth, truth, cases=[0, 1])


def test_fields_are_drawn_on_the_range_of_the_truth():
    place = domain("square", states="fields", shape=(4, 6))
    values = np.linspace(-1, 1, 2 * 3 * 24, dtype=np.float32).reshape(2, 3, 1, 4, 6)
    fields = FieldTrajectories(np.full((2, 1), 0.5), np.full(2, 3, np.int32), place, values)
    wild = replace(fields, values=values * 100)  # beyond the range: drawn with its ends, not wrapped around
    image = Image.open(BytesIO(animate(fields, wild, cases=[0, 1])))
    assert image.n_frames == 3


def test_each_label_keeps_its_colour_and_24_labels_have_colours_of_their_own():
    place = replace(domain("square", states="fields", shape=(5, 5)), states="labels", labels=25)
    labels = np.arange(25, dtype=np.uint8).reshape(5, 5)
    both = np.stack([labels, labels[::-1]])[None]
    truth = LabelTrajectories(np.array([[0.5]]), np.array([2], np.int32), place, both)
    colours = {
        t: np.asarray(Image.open(BytesIO(picture.png)).convert("RGB"))
        for t, picture in by_frame(truth, truth, cases=[0], panel=100, count=2).items()
    }
    left = colours[0].shape[1] - 108  # of the panel of 100 pixels
    first, second = (picture[34:134, left : left + 100][10::20, 10::20] for picture in colours.values())
    assert np.array_equal(first[::-1], second)
    seen = [tuple(colour) for colour in first.reshape(25, 3).tolist()]
    assert len(set(seen)) == 24
    assert seen[24] == seen[0]
    assert np.array_equal(first.reshape(25, 3)[:24], label_colours())
    assert np.abs(label_colours().astype(int) - BACKGROUND).max(axis=1).min() > 64


def test_a_field_has_a_colour_bar_from_low_to_high():
    place = replace(domain("square", states="fields", shape=(4, 6)), channels=("T",), units=("K",))
    values = np.linspace(-1, 1, 24, dtype=np.float32).reshape(1, 1, 1, 4, 6)
    fields = FieldTrajectories(np.array([[0.5]]), np.ones(1, np.int32), place, values)
    picture = np.asarray(Image.open(BytesIO(still(fields, fields, cases=[0]))).convert("RGB"))
    row = picture[-(18 + 8 + 9)]  # the middle of the line above the caption
    bar = [tuple(pixel) for pixel in row.tolist() if tuple(pixel) in {tuple(c) for c in site_colours().tolist()}]
    assert list(dict.fromkeys(bar)) == [tuple(c) for c in site_colours().tolist()]
    assert span_ends(place, (-1.0, 1.0)) == ("T −1", "1 K")


def test_cases_are_spread_over_the_conditioning_parameter():
    trajectories = growth(cases=31)
    shuffled = trajectories.select(np.random.default_rng(0).permutation(31))
    chosen = shuffled.params[list(spread(shuffled, 4)), 0]
    assert np.allclose(chosen, [0.3, 0.4, 0.5, 0.6])


def test_lattices_must_agree():
    with pytest.raises(ValueError, match="share a lattice"):
        still(growth(), growth(lattice="square"), cases=[0])


def test_an_animation_of_four_crystals_is_small():
    """300 kB at most, for 30 frames of crystals of 64 sites across."""
    size, frames = 32, 30
    i, j = np.mgrid[:size, :size]
    distance = np.maximum(i, j)
    arrival = np.where((distance < frames) & ((i * j * abs(i - j)) % 7 < 5), distance, -1).astype(np.int32)
    place = domain(shape=(size, size))
    crystal = GrowthTrajectories(np.full((4, 1), 0.4), np.full(4, frames, np.int32), place, np.stack([arrival] * 4))
    assert len(animate(crystal, crystal, cases=[0, 1, 2, 3])) < 300_000


def test_pictures_by_frame_are_those_of_the_animation_and_numbered_by_the_truth():
    truth = growth(frames=7)
    longer = replace(growth(frames=12), params=truth.params)
    pictures = by_frame(truth, longer, cases=(0, 2), count=4)
    assert list(pictures) == [0, 2, 4, 6]
    assert list(by_frame(truth, truth, cases=(0,), count=4)) == [0, 2, 4, 6]
    gif = Image.open(BytesIO(animate(truth, truth, cases=(0, 2))))
    gif.seek(4)
    own = Image.open(BytesIO(by_frame(truth, truth, cases=(0, 2), count=7)[4].png))
    np.testing.assert_array_equal(np.asarray(own.convert("RGB")), np.asarray(gif.convert("RGB")))
    small = Image.open(BytesIO(pictures[6].thumbnail))
    assert max(small.size) <= 512
