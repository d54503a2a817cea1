"""What a trial may take, as a suite says it: `limits: {timeout: 2h, memory: 8GB, retries: 1}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_BYTES = {"b": 1}
_BYTES |= {f"{letter}b": 1000**k for k, letter in enumerate("kmgt", start=1)}
_BYTES |= {f"{letter}ib": 1024**k for k, letter in enumerate("kmgt", start=1)}


def _quantity(text: str, units: Mapping[str, float]) -> float | None:
    """ "1.5 h" in the units' base; None for what is no quantity."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    factor = units.get(found[2].lower()) if found else None
    return None if found is None or factor is None else float(found[1]) * factor


def seconds(value: Any) -> Any:
    """Seconds of a duration as people write it: 90s, 30m, 2h, 1d, or a number of seconds."""
    if not isinstance(value, str):
        return value
    known = _quantity(value, _SECONDS)
    if known is None:
        raise ValueError(f"must be a duration such as 90s, 30m, 2h or 1d, got {value!r:.80}")
    return known


def size(value: Any) -> Any:
    """Bytes of a size as people write it: 512MB, 8GB, 8GiB, or a number of bytes."""
    if not isinstance(value, str):
        return value
    known = _quantity(value, _BYTES)
    if known is None:
        raise ValueError(f"must be a size such as 512MB, 8GB or 8GiB, got {value!r:.80}")
    return int(known)


def _schema(kind: str, units: str) -> dict[str, Any]:
    written = {"type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s*({units})\s*$"}
    return {"anyOf": [{"type": kind, "exclusiveMinimum": 0}, written]}


Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    Field(gt=0),
    WithJsonSchema(_schema("number", "s|m|min|h|d")),
]
Bytes = Annotated[
    int,
    BeforeValidator(size),
    Field(gt=0),
    WithJsonSchema(_schema("integer", "[kKmMgGtT]?i?[bB]")),
]


class Limits(BaseModel):
    """What each trial may take. They change no key: what a trial finished within them is what it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    timeout: Seconds | None = Field(None, description="of a trial, e.g. 2h; none if not given")
    memory: Bytes | None = Field(None, description="of a trial's processes together, e.g. 8GB; none if not given")
    retries: int = Field(0, ge=0, description="how often a trial that failed, died or ran out of memory is begun again")
