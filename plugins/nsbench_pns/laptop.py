"""PNS as this project changed it, so that a tenth of an hour on one core teaches it something.

What was tried, and what came out: docs/tuning.md.
"""

from __future__ import annotations

from nsbench.components.component import with_defaults
from nsbench_pns.params import PNSParams

LaptopParams = with_defaults(
    PNSParams,
    "LaptopParams",
    # A tenth of the widths, and a network that is cheap at them.
    architecture="pooled",
    width=12,
    latents=16,
    encoder_layers=3,
    condition="varying",
    # Many optimizer steps, from single frames until late.
    unroll_from=0.7,
    unroll=2,
    reduction="mean",
    batch=16,
    learning_rate=2e-3,
    warmup=0.03,
    decay="cosine",
    clip=10.0,
    average_from=0.8,
    average_decay=0.99,
)
"""Parameters of PNS with the defaults of this project."""
