"""Fréchet distance on features of an image network (FID). Its weights are yours; none are shipped.

Not recommended for binary 32 × 32 states: networks trained on photographs see nothing in them that they know,
and a distance between features that mean nothing means nothing. Use frechet_descriptors.

The weights are a safetensors file of convolutions, "0.weight" float32[out, in, k, k] and "0.bias" float32[out],
then "1.…", and so on, k odd. Each is padded to keep the size, followed by ReLU, and all but the last by average
pooling over 2 × 2. Features are the means over sites after the last. The first takes the domain's channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared.frechet import frechet_distance
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.states import require_numbers

if TYPE_CHECKING:
    from torch import Tensor

Layer = tuple["Tensor", "Tensor"]


class FIDParams(Params):
    """weights: a safetensors file (see nsbench_metrics/fid.py); sha256: of it, so that scores belong to it."""

    weights: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    batch: int = Field(256, ge=1)


def read_layers(path: Path, digest: str) -> list[Layer]:
    """(weight, bias) of each convolution. Raises ValueError for another file, or another architecture."""
    from hashlib import sha256

    from safetensors.torch import load

    content = path.read_bytes()
    if (actual := sha256(content).hexdigest()) != digest:
        raise ValueError(f"{path} has sha256 {actual}, the suite says {digest}")
    tensors = load(content)
    layers: list[Layer] = []
    while f"{len(layers)}.weight" in tensors:
        k = len(layers)
        layers.append((tensors[f"{k}.weight"].float(), tensors[f"{k}.bias"].float()))
    if not layers or 2 * len(layers) != len(tensors) or any(w.ndim != 4 or not w.shape[-1] % 2 for w, _ in layers):
        raise ValueError(f"{path} must hold 0.weight [out, in, k, k] with k odd, 0.bias, 1.weight, … and nothing else")
    return layers


def image_features(states: NDArray[np.float32], layers: list[Layer], batch: int = 256) -> NDArray[np.float64]:
    """float64[n, features of the last layer] of states float32[n, C, H, W]."""
    import torch
    from torch.nn import functional

    parts = []
    with torch.inference_mode():
        for k in range(0, len(states), batch):
            x = torch.from_numpy(states[k : k + batch])
            for weight, bias in layers[:-1]:
                x = functional.avg_pool2d(functional.conv2d(x, weight, bias, padding="same").relu(), 2)
            x = functional.conv2d(x, *layers[-1], padding="same").relu()
            parts.append(x.mean(dim=(2, 3)).double().numpy())
    return np.concatenate(parts)


class FID(Metric):
    """Squared Fréchet distance between features of final states, over all cases; blind to parameters.

    Not proper: only means and covariances of features count, and finite samples raise it.
    """

    direction = "min"
    unit = "feature²"
    zero = "climatology"
    params: FIDParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        require_numbers(reference.domain)
        layers = read_layers(Path(self.params.weights), self.params.sha256)
        if layers[0][0].shape[1] != len(reference.domain.channels):
            raise NotApplicable(f"the network takes {layers[0][0].shape[1]} channels")
        truth, simulated = (
            image_features(t.final(), layers, self.params.batch) for t in (reference, evidence.rollouts)
        )
        if min(len(truth), len(simulated)) < 2:
            raise NotApplicable("a covariance needs two cases at least")
        return Score(frechet_distance(truth, simulated), extras={"features": float(truth.shape[1])})


SPEC = metric_spec(
    FID, FIDParams, "Fréchet distance on features of an image network of yours; not proper, blind to parameters"
)
