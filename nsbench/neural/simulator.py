"""The base class that makes a network a simulator, of whatever states.

A subclass builds its network:

    class Mine(NeuralSimulator):
        def build(self, space: StateSpace, inputs: int) -> TransitionModel:
            return MyNetwork(self.params.width, space, inputs)

with parameters that extend ``nsbench.neural.params.TrainingParams``.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nsbench.components.protocol import LikelihoodKind
from nsbench.components.sampling import sampling_fields
from nsbench.components.simulator import FitContext, Simulator
from nsbench.neural.conditioning import BoxCox, Power, Standardise, chosen_parameters, columns_of
from nsbench.neural.devices import autocast, device_of
from nsbench.neural.frames import frames_of
from nsbench.neural.likelihood import importance_bound
from nsbench.neural.model import TransitionModel
from nsbench.neural.networks.padding import set_boundaries
from nsbench.neural.params import TrainingParams
from nsbench.neural.randomness import draw_seed, generator, initialised
from nsbench.neural.states.choice import space_of
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.space import StateSpace, Step
from nsbench.neural.training import Training
from nsbench.neural.weights import load_weights, read_facts, save_weights
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain

ROLLOUT_BATCH = 1024
"""The number of trajectories that are grown together at most: bounds memory."""

DECODED_SITES = 512 * 32 * 32
"""The number of sites that a likelihood decodes at once at most: bounds memory."""

VALIDATION_TRANSITIONS = 256
"""The number of validation transitions that the ELBO is a mean over."""


class Network(nn.Module):
    """A model with the standardisation of its conditioning; both are saved together."""

    def __init__(self, model: TransitionModel, inputs: int, power: Power = None) -> None:
        super().__init__()
        self.standardise = Standardise(inputs) if power is None else BoxCox(inputs, power)
        self.model = model


class NeuralSimulator(Simulator):
    """The base class of simulators that are a network: a subclass has only to build the network.

    network     the network that was learned; None before a fit or a load.
    states      the facts of the states that it was fitted on; None before a fit or a load.
    parameters  names of the parameters that condition the network, in the order of its inputs.
    columns     their columns in ``Trajectories.params`` of the training set.
    """

    likelihood: LikelihoodKind | None = "elbo"
    params: TrainingParams

    network: Network | None = None
    states: StateFacts | None = None
    parameters: Sequence[str] = ()
    columns: Sequence[int] = ()

    @abstractmethod
    def build(self, space: StateSpace, inputs: int) -> TransitionModel:
        """The network, for such states and that many conditioning parameters, at torch's default initialisation."""

    def space(self, states: StateFacts) -> StateSpace:
        """The state space through which the network sees such states."""
        return space_of(states)

    def lattice_multiple(self) -> int:
        """The number by which a lattice's sides must be divisible: 2 for each halving of the resolution."""
        return 1

    def least_side(self) -> int:
        """The shortest side of a lattice that the network can work on."""
        return 1

    def unroll_length(self, fraction: float, longest: int, rng: np.random.Generator) -> int:
        """The steps that sequences are unrolled for when that fraction of the budget is spent.

        longest: frames after the first in the longest training trajectory.
        """
        return 1

    def fit(self, train: Trajectories, val: Trajectories, ctx: FitContext) -> None:
        self._check(train.domain)
        self.states = StateFacts.of(train.domain)
        device, seed = device_of(ctx.conditions), draw_seed(ctx.rng)
        self.conditions = ctx.conditions
        self.parameters = chosen_parameters(train.domain, self.params.condition)
        self.columns = columns_of(train.domain, self.parameters)
        network = initialised(self._make, seed).to(device)
        network.standardise.measure(train.params[:, list(self.columns)])
        network.model.space.measure(train)
        self.network = network.train()
        longest = int(train.lengths.max()) - 1
        Training(
            network.model,
            frames_of(train, self._standardised(train.params[:, list(self.columns)])),
            self.params,
            ctx,
            seed=seed,
            identity=self._identity(train, ctx, seed),
            unroll=lambda fraction, rng: max(1, min(self.unroll_length(fraction, longest, rng), longest)),
            validate=self._validation(val, seed),
        ).run()
        network.eval()

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        self._check(start.domain)
        network, device = self._trained(), self._device()
        noise = generator(device, draw_seed(rng))
        parts: list[Trajectories] = []
        with torch.inference_mode(), autocast(self.conditions):
            for first in range(0, len(start), ROLLOUT_BATCH):
                batch = start.select(slice(first, first + ROLLOUT_BATCH))
                x = torch.from_numpy(batch.frame(0)).to(device)
                y = self._standardised(batch.params[:, columns_of(batch.domain, self.parameters)])
                rollout, step = network.model.space.rollout, self._stepper(noise)
                parts.append(rollout(batch, x, y, steps, self.conditions.decode, step, noise))
        return type(parts[0]).joined(parts)

    def log_likelihood(
        self,
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        samples: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """The bound L_K of each transition, float64[b]: see ``nsbench.neural.likelihood``.

        params: in the order of the domain that the simulator was fitted on.
        """
        model, noise = self._trained().model, generator(self._device(), draw_seed(rng))
        decoded = max(1, DECODED_SITES // (x.shape[-2] * x.shape[-1]))

        def bound(x: Tensor, x_next: Tensor, y: Tensor) -> Tensor:
            weigh = partial(model.log_weights, x, x_next, y, generator=noise)
            return importance_bound(weigh, samples, at_once=decoded)

        return self._nats(bound, x, x_next, params, max(1, decoded // samples))

    def _nats(
        self,
        nats: Callable[[Tensor, Tensor, Tensor], Tensor],
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        rows: int,
    ) -> NDArray[np.float64]:
        """A number of each transition, float64[b], by so many rows at a time. nats: (x, x_next, y) -> float64[rows]."""
        network, device = self._trained(), self._device()
        y = self._standardised(params[:, list(self.columns)])
        parts = []
        training = network.training
        network.eval()
        with torch.inference_mode(), autocast(self.conditions):
            for first in range(0, len(x), rows):
                batch = slice(first, first + rows)
                before, after = torch.from_numpy(x[batch]).to(device), torch.from_numpy(x_next[batch]).to(device)
                parts.append(nats(before, after, y[batch]).cpu().numpy())
        network.train(training)
        return np.concatenate(parts) if parts else np.empty(0)

    def latent_kl(
        self, x: NDArray[np.float32], x_next: NDArray[np.float32], params: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        model, device, y = (
            self._trained().model.eval(),
            self._device(),
            self._standardised(params[:, list(self.columns)]),
        )
        with torch.inference_mode(), autocast(self.conditions):
            kl = model.latent_kl(torch.from_numpy(x).to(device), torch.from_numpy(x_next).to(device), y)
        return None if kl is None else kl.double().mean(0).cpu().numpy()

    def save(self, directory: Path) -> None:
        network, states = self._trained(), self.states
        assert states is not None
        facts = {"parameters": list(self.parameters), "columns": list(self.columns), "states": states.stored()}
        save_weights(directory, network, {"simulator": type(self).__name__, **facts})

    def load(self, directory: Path) -> None:
        facts = read_facts(directory)
        self.parameters, self.columns = facts["parameters"], facts["columns"]
        self.states = StateFacts.read(facts["states"])
        network = initialised(self._make, 0)
        load_weights(directory, network)
        self.network = network.to(device_of(self.conditions)).eval()

    def size(self) -> int | None:
        return sum(p.numel() for p in self._trained().parameters())

    def flops(self, start: Trajectories, steps: int, rng: np.random.Generator) -> float | None:
        """Operations by torch's counter: convolutions and matrix products, two operations a multiply-add."""
        with FlopCounterMode(display=False) as counter:
            self.rollout(start, steps, rng)
        return float(counter.get_total_flops()) / len(start)

    def _make(self) -> Network:
        assert self.states is not None
        model = self.build(self.space(self.states), len(self.parameters))
        set_boundaries(model, self.states.boundaries)
        return Network(model, len(self.parameters), self.params.condition_power)

    def _stepper(self, noise: torch.Generator) -> Step:
        model = self._trained().model.eval()
        return lambda x, y: model.output(x, y, noise)

    def _trained(self) -> Network:
        """The network. Raises RuntimeError before a fit or a load."""
        if self.network is None:
            raise RuntimeError(f"{type(self).__name__} has learned nothing yet: fit or load it first")
        return self.network

    def _device(self) -> torch.device:
        """The device of the conditions, to which the network is moved."""
        device = device_of(self.conditions)
        self._trained().to(device)
        return device

    def _standardised(self, params: NDArray[np.float64]) -> Tensor:
        """The standardised parameters y, float32[n, P] on the device, of float64[n, P]."""
        network = self._trained()
        y = torch.from_numpy(params).to(network.standardise.mean.device, torch.float32)
        standardised: Tensor = network.standardise(y)
        return standardised

    def _check(self, domain: Domain) -> None:
        """Raise ValueError for a domain that the network cannot work on."""
        multiple, name = self.lattice_multiple(), type(self).__name__
        if any(side % multiple for side in domain.shape):
            height, width = domain.shape
            raise ValueError(f"{name} needs lattices whose sides are divisible by {multiple}, got {height}×{width}")
        if min(domain.shape) < self.least_side():
            height, width = domain.shape
            raise ValueError(f"{name} needs lattices of {self.least_side()} sites a side or more, got {height}×{width}")
        if self.network is not None and StateFacts.of(domain) != self.states:
            raise ValueError(f"{name} was fitted on other states: {self.states}, not {StateFacts.of(domain)}")

    def _identity(self, train: Trajectories, ctx: FitContext, seed: int) -> dict[str, Any]:
        """The facts that two trainings must share for one to continue the other: parameters of sampling are none."""
        unread = set(sampling_fields(type(self.params)))
        data = hashlib.sha256()
        for array in train.arrays().values():
            data.update(np.ascontiguousarray(array).data)
        return {
            "simulator": type(self).__name__,
            "params": self.params.model_dump(mode="json", exclude=unread),
            "transitions": ctx.transitions,
            "conditions": [ctx.conditions.device, ctx.conditions.precision],
            "seed": seed,
            "data": data.hexdigest(),
        }

    def _validation(self, val: Trajectories, seed: int) -> Callable[[], float] | None:
        """A function () -> the ELBO on a fixed subset of the validation transitions, by the same draws each time.

        None where there are no such transitions, or no likelihood.
        """
        index, t = val.transitions()
        if not len(index) or self.likelihood is None:
            return None
        chosen = np.random.default_rng([seed, 0, 2]).permutation(len(index))[:VALIDATION_TRANSITIONS]
        index, t = index[chosen], t[chosen]
        x, x_next, params = val.at(index, t), val.at(index, t + 1), val.params[index]
        return lambda: float(self.validation_nats(x, x_next, params, seed).mean())

    def validation_nats(
        self, x: NDArray[np.float32], x_next: NDArray[np.float32], params: NDArray[np.float64], seed: int
    ) -> NDArray[np.float64]:
        """The bound on each transition that a fit's curve of validation is a mean of. seed: of the fit."""
        return self.log_likelihood(x, x_next, params, 1, np.random.default_rng(0))
