"""CGNE as this project changed it, so that a tenth of an hour on one core teaches it something.

What each change is for, with the measurements that led to it: docs/tuning.md.
"""

from __future__ import annotations

from nsbench.components.component import with_defaults
from nsbench.neural.schedules import Ramp
from nsbench_cgne.params import CGNEParams

LaptopParams = with_defaults(
    CGNEParams,
    "LaptopParams",
    # size
    width=16,
    latent_width=16,
    # Encoders that see every site, and latents near enough to the sites that they decide on.
    encoder_entry="unshuffle",
    latent_channels=8,
    latent_halvings=2,
    # The rate of growth is known to the decoder, not told by z alone.
    condition_decoder=True,
    condition="varying",
    condition_power=None,
    auxiliary_weight=0.1,
    # Latents that are silent when β arrives stay silent.
    kl_mean="sites",
    kl_weight=0.5,
    kl_annealing=0.9,
    decoder_dropout=Ramp(first=1.0, last=0.05, begin=0.03, end=0.08),
    # Many optimizer steps, from single frames.
    unroll=1,
    unroll_mask="guided",
    start_every=1,
    batch=16,
    learning_rate=2e-3,
    warmup=0.02,
    decay="cosine",
    clip_after="unroll",
    average_decay=0.99,
    average_every=None,
    average_learning_rate=None,
    average_annealing=0.0,
)
"""Parameters of CGNE with the defaults of this project."""
