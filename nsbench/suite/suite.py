"""A suite: which simulators meet which datasets, under what protocol, budget and metrics.

Suites are pure data; nsbench.suite.reading makes them from files.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from nsbench.components.protocol import Decode, Holdout, Protocol
from nsbench.quantities import seconds, size
from nsbench.registry.registry import Kind
from nsbench.suite.yaml import dump


def _schema(kind: str, units: str) -> dict[str, Any]:
    """The JSON schema of a quantity: a positive number, or text with a unit."""
    text = {"type": "string", "pattern": rf"^\s*\d+(\.\d+)?\s*({units})\s*$"}
    return {"anyOf": [{"type": kind, "exclusiveMinimum": 0}, text]}


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


class Section(BaseModel):
    """Base class of a suite's parts."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)


class Use(Section):
    """A component by name. `as`: the name of this use of it; the component's own if not given."""

    use: str = Field(description="name of the component")
    as_: str = Field("", alias="as", description="name of this use in results")
    params: dict[str, Any] = Field({}, description="parameters of the component")

    @property
    def name(self) -> str:
        return self.as_ or self.use


class DatasetUse(Use):
    """A dataset. fit_on: another dataset of the suite on which simulators are fitted instead.

    stride, horizon, holdout: its own, where its clock, length or parameters are not those of other datasets.
    """

    fit_on: str | None = Field(None, description="dataset to fit on, for transfer across datasets")
    stride: int | None = Field(None, ge=1, description="ticks between frames; the protocol's if not given")
    horizon: int | None = Field(None, ge=1, description="frames simulated at most; the protocol's if not given")
    holdout: Holdout | None = Field(None, description="ranges taken out of training; the protocol's if not given")


class SimulatorUse(Use):
    """A simulator. decode: of its states, the protocol's if None. on: the datasets that it meets, all if None.

    grid: parameter -> values, multiplied out. tries: so many random combinations of it (nsbench/suite/tries.py).
    series: what it is a try of; for the simulators of a grid the name of their entry.
    """

    decode: Decode | None = Field(None, description="of its states; the protocol's if not given")
    on: list[str] | None = Field(None, description="datasets that it meets; all if not given")
    grid: dict[str, list[Any]] = Field({}, description="parameter: values; one simulator a combination")
    tries: int | None = Field(None, ge=1, description="random combinations of the grid; all if not given")
    series: str = Field("", description="what this is a try of; of a grid's simulators the entry's name if not given")


class MetricUse(Use):
    """A metric; a plain name in a suite is short for {use: name}."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"use": value} if isinstance(value, str) else value


class Budget(Section):
    """The budget of a fit."""

    transitions: int = Field(ge=0, description="training pairs (frame t, frame t + 1), repeats counted")


class Compute(Section):
    """Device and precision of networks, and the number of threads."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32", description="of networks; auto: bfloat16 where the device has it, else float32"
    )
    threads: int | None = Field(None, ge=1, description="OMP_NUM_THREADS, or all cores, if not given")


class AnchorDraws(Section):
    """How often the truth is drawn for the anchors that stand beside scores."""

    floor: int = Field(3, ge=1, description="draws of the floor, for its mean and its deviation")
    deterministic: int = Field(
        64, ge=2, description="draws of the truth from each start, of which best-deterministic is the medoid"
    )


class Limits(Section):
    """Limits of each trial. They change no key: a result that was finished within them does not depend on them."""

    timeout: Seconds | None = Field(None, description="of a trial, e.g. 2h; none if not given")
    memory: Bytes | None = Field(None, description="of a trial's processes together, e.g. 8GB; none if not given")
    retries: int = Field(0, ge=0, description="how often a trial that failed, died or ran out of memory is begun again")


_SERVER = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")


def _is_server(uri: str) -> bool:
    """Whether an address names a server by host, port and path alone."""
    try:
        return _SERVER.fullmatch(uri) is not None and urlsplit(uri).port != 0
    except ValueError:  # a port above 65535, an IPv6 address that is none
        return False


class Tracking(Section):
    """Tracking with MLflow. uri: a server; the SQLite store in the workspace if not given. enabled: false for none.

    A suite can name a server only, and nothing that opens one: other places, and credentials, are named by the person
    who runs it, with --tracking-uri or MLflow's own variables.
    """

    uri: str | None = None
    enabled: bool = True

    @field_validator("uri")
    @classmethod
    def _names_a_server(cls, uri: str | None) -> str | None:
        if uri is None or _is_server(uri):
            return uri
        if uri.startswith("databricks"):
            raise ValueError("Databricks asks for your credentials, so only you can name it: --tracking-uri databricks")
        if re.match(r"https?://[^\s/]\S*[@?#;=%]", uri):
            raise ValueError(
                "a suite's server is named by host, port and path alone: passwords and tokens belong into MLflow's "
                "variables (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN), which reach a "
                "server that --tracking-uri or MLFLOW_TRACKING_URI names"
            )
        raise ValueError(
            "must be the http or https address of an MLflow server; --tracking-uri and MLFLOW_TRACKING_URI take others"
        )


class Suite(Section):
    """A benchmark: every simulator meets every dataset, `replicates` times."""

    schema_: Literal[1] = Field(1, alias="schema", description="version of this format")
    name: str = Field(description="names the results and the MLflow experiment")
    seed: int = Field(0, ge=0, description="the root of all random numbers")
    replicates: int = Field(1, ge=1)
    datasets: list[DatasetUse] = Field(min_length=1)
    simulators: list[SimulatorUse] = Field(min_length=1)
    metrics: list[MetricUse] = Field(min_length=1)
    primary: str | None = Field(None, description="the metric that claims rest on; the first one if not given")
    protocol: Protocol = Protocol()
    budget: Budget
    anchors: AnchorDraws = AnchorDraws()
    compute: Compute = Compute()
    limits: Limits = Limits()
    tracking: Tracking = Tracking()

    @property
    def primary_metric(self) -> str:
        """The name of the metric that was chosen, before anything is run, to decide which simulator is better."""
        return self.primary or self.metrics[0].name

    def protocol_on(self, use: DatasetUse) -> Protocol:
        """The protocol on a dataset: the suite's, with what the dataset has of its own."""
        own = {"stride": use.stride, "horizon": use.horizon, "holdout": use.holdout}
        return self.protocol.model_copy(update={name: value for name, value in own.items() if value is not None})

    def to_yaml(self) -> str:
        """The suite as a file that reads back equal."""
        return dump(self.model_dump(by_alias=True, mode="json"))


SECTIONS: dict[str, tuple[Kind, type[Use]]] = {
    "datasets": ("dataset", DatasetUse),
    "simulators": ("simulator", SimulatorUse),
    "metrics": ("metric", MetricUse),
}
"""Section of a suite -> the kind of component that it lists, and the class of its entries."""
