"""The hardware that costs were measured on: costs of different machines are not comparable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nsbench.components.rows import TrialResult


def odd_hardware(results: Sequence[TrialResult]) -> dict[str, str]:
    """{trial: hardware} of trials whose costs were measured on other hardware than most, "" if it is unknown."""
    timed = [r for r in results if not r.outside and any(s.costs and s.value is not None for s in r.scores)]
    kinds = Counter(r.hardware for r in timed if r.hardware)
    if not kinds or len({r.hardware for r in timed}) == 1:
        return {}
    usual = kinds.most_common(1)[0][0]
    return {r.trial: r.hardware for r in timed if r.hardware != usual}
