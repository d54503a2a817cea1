"""Checks of a simulator, on small data: fits, rollouts, saving, costs, and a process of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nsbench.components.protocol import Bounds, Protocol
from nsbench.components.simulator import Simulator
from nsbench.stages.measuring import collect
from nsbench.suite.seeds import generator
from nsbench.testing.findings import Blocked, Check, Finding, LeftOut, Raised, calling, place_of
from nsbench.testing.global_randomness import GENERATOR_RIGHT, changes, watched
from nsbench.testing.other_process import elsewhere, rollout_job
from nsbench.testing.sampling import sampling_changes_no_fit
from nsbench.testing.simulator_subject import FEW_TRANSITIONS, FIT_SECONDS, Fitted, SimulatorSubject
from nsbench.testing.small_data import bits, truth_of
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.labels import LabelTrajectories


def can_be_made(subject: SimulatorSubject) -> Iterator[Finding]:
    """The simulator is made from its parameters, and claims a likelihood of a known kind or none."""
    simulator = subject.bare
    if simulator.likelihood not in (None, "exact", "elbo", "vlb"):
        yield Finding(
            place_of(simulator, "log_likelihood"),
            f"likelihood is {simulator.likelihood!r}",
            'it is "exact", "elbo", "vlb" or None',
        )
    if simulator.likelihood and type(simulator).log_likelihood is Simulator.log_likelihood:
        subject.likelihood_fails = True
        yield Finding(
            place_of(simulator, "log_likelihood"),
            f"likelihood is {simulator.likelihood!r}, but there is no method log_likelihood",
            "define log_likelihood, or leave `likelihood` at None",
        )


def fits(subject: SimulatorSubject) -> Iterator[Finding]:
    """A short fit ends soon, within its budget, and leaves the data as it was."""
    _require_learning(subject, fitted=False)
    before = bits(subject.data.train)
    fitted = subject.fit(subject.transitions, 1)
    where = place_of(fitted.simulator, "fit")
    if fitted.seconds > FIT_SECONDS:
        yield Finding(
            where,
            f"a fit on {subject.transitions} transitions took {fitted.seconds:.0f} s",
            f"it ends within {FIT_SECONDS} s on a CPU: do the work by transitions, not by epochs",
        )
    if fitted.done > subject.transitions:
        yield Finding(
            where,
            f"trained on {fitted.done} transitions, by its own count, of a budget of {subject.transitions}",
            "stop at ctx.transitions",
        )
    if bits(subject.data.train) != before:
        yield Finding(where, "changed the training data", "copy what is to be changed: the data are shared")


def _require_learning(subject: SimulatorSubject, fitted: bool = True) -> None:
    if not subject.learns:
        raise LeftOut("learns nothing")
    if fitted:
        _ = subject.fitted


def budget_counts(subject: SimulatorSubject) -> Iterator[Finding]:
    """A larger budget gives another fit."""
    _require_learning(subject)
    large, small = subject.fit(subject.transitions, 1), subject.fit(FEW_TRANSITIONS, 1)
    if large.saved() and large.saved() == small.saved():
        yield Finding(
            place_of(large.simulator, "fit"),
            f"learns the same from a budget of {FEW_TRANSITIONS} transitions as from {subject.transitions}: "
            "it ignores ctx.transitions",
            "train on at most ctx.transitions pairs of frames, repeats counted: the budget is the same for all",
        )


def fit_repeats(subject: SimulatorSubject) -> Iterator[Finding]:
    """The same generator gives the same fit, whatever the global generators are."""
    _require_learning(subject)
    first, second = subject.fit(subject.transitions, 1), subject.fit(subject.transitions, 2)
    yield from changes(place_of(first.simulator, "fit"), first.changed | second.changed)
    if _same_fit(subject, first, second):
        return
    repeated = _same_fit(subject, first, subject.fit_again(subject.transitions, 1))
    yield Finding(
        place_of(first.simulator, "fit"),
        "learns something else when Python's, NumPy's and torch's global generators are seeded differently"
        if repeated
        else "two fits of the same data, from generators in the same state, differ",
        "draw every random number from ctx.rng, and nothing from the clock or the order of sets",
    )


def _same_fit(subject: SimulatorSubject, first: Fitted, second: Fitted) -> bool:
    """Return whether two fits are the same. Their files may hold a date: then their rollouts decide."""
    if first.saved() == second.saved():
        return True
    return bits(subject.rollout(0, simulator=first.simulator)) == bits(subject.rollout(0, simulator=second.simulator))


def rollouts_keep_their_contract(subject: SimulatorSubject) -> Iterator[Finding]:
    """Rollouts of whole batches, single cases and single frames keep the contract, and leave the start as it was."""
    start = subject.data.starts()
    before = bits(start)
    rollout = subject.rollout(0, start=start)
    if bits(start) != before:
        yield Finding(place_of(subject.fitted, "rollout"), "changed its start", "copy what is to be changed")
    subject.rollout(0, steps=1)
    subject.rollout(0, start=start.select(slice(0, 1)))
    if rollout.domain.states == "growth":
        yield from _grows(subject, rollout)
    elif rollout.domain.states == "labels" and not isinstance(rollout, LabelTrajectories):
        yield Finding(
            place_of(subject.fitted, "rollout"),
            f"returned {type(rollout).__name__}, and the domain's states are labels",
            f"LabelTrajectories: whole numbers from 0 to {rollout.domain.labels - 1}",
        )


def _grows(subject: SimulatorSubject, rollout: Trajectories) -> Iterator[Finding]:
    """Sites of growth are attached or not, and stay attached."""
    where = place_of(subject.fitted, "rollout")
    frames = np.stack([rollout.frame(t) for t in range(int(rollout.lengths.max()))])  # [T, n, 1, H, W]
    if not np.isin(frames, (0, 1)).all():
        yield Finding(
            where, "states hold numbers other than 0 and 1", "a site of a growth map is attached, 1, or not, 0"
        )
    melted = (np.diff(frames, axis=0) < 0).any(axis=(2, 3, 4))  # [T − 1, n]
    if melted.any():
        frame, case = np.argwhere(melted)[0]
        yield Finding(
            where,
            f"attached sites melt in {int(melted.any(axis=0).sum())} of {melted.shape[1]} trajectories, first in frame "
            f"{frame + 1} of trajectory {case}",
            "the domain is one of growth: keep what is attached, x_next = max(x, x_next), or return GrowthTrajectories",
        )


def stop_rule(subject: SimulatorSubject) -> Iterator[Finding]:
    """Rollouts end with the domain's stop rule, if it has one."""
    if subject.data.dataset.domain.stop_margin is None:
        raise LeftOut("the domain has none")
    rollout = subject.rollout(0, steps=3 * subject.data.horizon)
    beyond = rollout.lengths - rollout.stopped().lengths
    if (beyond > 0).any():
        yield Finding(
            place_of(subject.fitted, "rollout"),
            f"runs past the stop rule in {int((beyond > 0).sum())} of {len(beyond)} trajectories, "
            f"by up to {beyond.max()} frames",
            "the harness cuts them, but the time counts: end with the first frame in which a site of "
            "domain.stop_sites() is attached, or return trajectories.stopped()",
            "note",
        )


def seeds_count(subject: SimulatorSubject) -> Iterator[Finding]:
    """The same generator gives the same bits, whatever the global generators are; another one gives other samples."""
    simulator = subject.fitted
    where, changed = place_of(simulator, "rollout"), set[str]()
    with watched(set(), 1):
        subject.rollout(0)  # whatever is imported late is imported now
    results = []
    for seed, global_seed in ((0, 1), (0, 1), (0, 2), (1, 1), (2, 1)):
        with watched(changed, global_seed):
            results.append(subject.rollout(seed))
    first, again, reseeded, *other_seeds = map(bits, results)
    yield from changes(where, changed)
    if first != again:
        yield Finding(
            where,
            "two rollouts from generators in the same state differ",
            f"{GENERATOR_RIGHT} from call to call",
        )
    elif first != reseeded:
        yield Finding(
            where,
            "samples change when Python's, NumPy's and torch's global generators are seeded differently",
            GENERATOR_RIGHT,
        )
    elif set(other_seeds) == {first}:
        yield _without_chance(where, results[0])


def _without_chance(where: str, rollout: Trajectories) -> Finding:
    """The finding about a simulator whose samples are the same for every seed: it may ignore its generator."""
    twins = [bits(rollout.select(slice(k, None, 2))) for k in (0, 1)]
    if twins[0] != twins[1]:
        return Finding(
            where,
            "ignores its generator: equal cases of a batch differ, yet every seed gives the same samples",
            GENERATOR_RIGHT,
        )
    return Finding(
        where,
        "is deterministic: every seed, and equal cases of a batch, give the same states",
        "nothing, if it is meant to be (a truth without its noise); else draw from the generator given",
        "note",
    )


def survives_saving(subject: SimulatorSubject) -> Iterator[Finding]:
    """A simulator that was saved and loaded simulates the same bits; nothing is pickled."""
    fitted, weights, _ = subject.fitted, subject.weights, subject.expected
    if subject.learns:
        yield from _plain_files(subject.fit(subject.transitions, 1))
    loaded = subject.fresh()
    saved = ", ".join(sorted(p.name for p in weights.rglob("*") if p.is_file())) or "nothing"
    with calling(loaded, "load", f"read what save wrote ({saved}) into a new instance"):
        loaded.load(weights)
    try:
        same = bits(subject.rollout(0, simulator=loaded)) == subject.expected
    except Raised as raised:
        yield Finding(
            place_of(loaded, "load"),
            f"after save (which wrote {saved}) and load, {raised.finding.wrong}",
            "save all that fit learned, and load it into a new instance",
        )
        return
    if not same:
        yield Finding(
            place_of(fitted, "save"),
            f"after save (which wrote {saved}) and load, the same seed gives other rollouts",
            "save all that fit learned, to the last bit, and load it into a new instance",
        )


def _plain_files(fitted: Fitted) -> Iterator[Finding]:
    for name, content in fitted.saved().items():
        pickled = (
            content[:1] == b"\x80" and content[-1:] == b"." and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
        )
        if pickled or (content[:2] == b"PK" and b"/data.pkl" in content):
            yield Finding(
                place_of(fitted.simulator, "save"),
                f"{name} is a pickle, which runs code when it is read",
                "write arrays with numpy.save, weights with safetensors, text as JSON",
            )


def costs_are_measured(subject: SimulatorSubject) -> Iterator[Finding]:
    """The harness can time the simulator and measure its costs."""
    simulator, data = subject.fitted, subject.data
    protocol = Protocol(stride=data.stride, horizon=data.horizon, batch=4, bounds=Bounds(samples=[1, 4], transitions=8))
    test = data.test.select(slice(0, 8))
    truth = truth_of(subject.registry, data.source)
    subject.rollout(0)
    if subject.likelihood_fails:
        raise Blocked("its likelihood is no number")
    with calling(simulator, "rollout", "be timed by the harness, batch by batch and case by case"):
        cost = collect(
            simulator,
            test,
            protocol,
            subject.conditions,
            generator([0]),
            truth=truth,
            fit_seconds=None,
            threads=1,
        ).cost
    assert cost is not None
    if not math.isfinite(cost.ms_per_trajectory) or cost.ms_per_trajectory <= 0:
        yield Finding(place_of(simulator, "rollout"), f"took {cost.ms_per_trajectory} ms", "time must pass")


def works_elsewhere(subject: SimulatorSubject) -> Iterator[Finding]:
    """A process that knows only names, parameters and the saved files simulates the same bits."""
    _, simulator = subject.expected, subject.fresh()
    with calling(simulator, "load", "read what save wrote"):
        simulator.load(subject.weights)
    try:
        expected = bits(subject.rollout(0, simulator=simulator))
    except Raised as raised:
        raise Blocked("not even in this one") from raised
    job = rollout_job(subject.spec, subject.params, subject.module, subject.data, subject.conditions, subject.weights)
    answer = elsewhere(job)
    if answer.heavy:
        yield Finding(
            subject.module,
            f"imports {', '.join(answer.heavy)} as soon as it is listed",
            "name the class as text and import such things in the class's own module: `nsbench list` waits for it",
            "note",
        )
    if answer.error:
        yield Finding(
            place_of(simulator, "rollout"),
            f"fails in a process of its own: {answer.error}",
            "everything that rollout needs must come from the module itself, the parameters, or load",
        )
    elif answer.bits != expected:
        yield Finding(
            place_of(simulator, "rollout"),
            "gives other bits in a process of its own, with the same seed",
            "keep nothing in globals, and depend on no order of sets or files",
        )


SIMULATOR_CHECKS: tuple[Check[SimulatorSubject], ...] = (
    Check("is made from its parameters", can_be_made),
    Check("a short fit ends in time and leaves the data alone", fits),
    Check("rollouts keep their contract", rollouts_keep_their_contract),
    Check("rollouts end with the stop rule", stop_rule),
    Check("same seed, same bits; other seed, other samples", seeds_count),
    Check("the budget counts", budget_counts),
    Check("a fit depends on its generator alone", fit_repeats),
    Check("parameters of sampling change no fit", sampling_changes_no_fit),
    Check("saving and loading lose nothing", survives_saving),
    Check("works in a process of its own", works_elsewhere),
)

COST_CHECKS: tuple[Check[SimulatorSubject], ...] = (Check("costs are measured", costs_are_measured),)
