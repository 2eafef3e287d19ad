"""The conditions of rules: which value of which flows, from which threshold on."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from spanflow.span_processors import names
from spanflow.span_processors.tree.step_keys import MAX_KEY
from spanflow.viewer_api.alerts.observation import Level, Observation, Verdict

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must not be true or false")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Milliseconds = Annotated[Number, Field(gt=0, le=_DAY * 1000)]
Seconds = Annotated[Number, Field(ge=1, le=7 * _DAY)]
Window = Annotated[Number, Field(ge=60, le=_DAY, description="Flows that ended in the last so many seconds count.")]
Share = Annotated[Number, Field(gt=0, le=1)]


class Condition(BaseModel):
    """Reached from `alert` on; from `warning` on, which lies below it, as a warning."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def judge(self, observation: Observation) -> Verdict:
        if observation.value is None:
            return Verdict(None, no_data=True)
        alert, warning = self.thresholds(observation)
        level = None
        if observation.value >= alert:
            level = Level.ALERT
        elif warning is not None and observation.value >= warning:
            level = Level.WARNING
        threshold = alert if level is Level.ALERT or warning is None else warning
        ids = observation.flow_ids if level else ()
        return Verdict(level, False, observation.value, threshold, ids, observation.baseline)

    def thresholds(self, observation: Observation) -> tuple[float, float | None]:
        """For alerts and for warnings, in the unit of the observed value."""
        alert: float = getattr(self, "alert")  # noqa: B009
        warning: float | None = getattr(self, "warning")  # noqa: B009
        return alert, warning

    @property
    def lowest(self) -> float:
        """What is found from there on: the warning, where there is one."""
        alert, warning = getattr(self, "alert"), getattr(self, "warning")  # noqa: B009
        return float(alert if warning is None else warning)

    @model_validator(mode="after")
    def _warning_comes_first(self) -> "Condition":
        alert, warning = getattr(self, "alert", None), getattr(self, "warning", None)
        if alert is not None and warning is not None and warning >= alert:
            raise ValueError("warning must be less than alert")
        return self


class LongerThan(Condition):
    """A flow took longer than so many milliseconds."""

    kind: Literal["longer_than"]
    alert: Milliseconds
    warning: Milliseconds | None = None
    window_seconds: Window = 300


class SlowerThanUsual(Condition):
    """A flow took longer than so many times the 95th percentile of its like."""

    kind: Literal["slower_than_usual"]
    alert: Annotated[Number, Field(gt=1, le=1000)]
    warning: Annotated[Number, Field(gt=1, le=1000)] | None = None
    window_seconds: Window = 300
    baseline_seconds: Annotated[
        Number, Field(ge=_HOUR, le=7 * _DAY, description="Compared with flows of so long before the window.")
    ] = _DAY
    min_samples: Annotated[int, Field(ge=5, le=100_000, description="Flows before that are needed at least.")] = 20


class StepSlowerThanUsual(Condition):
    """Steps of one kind took longer than so many times their usual 95th percentile."""

    kind: Literal["step_slower_than_usual"]
    by: Annotated[
        Literal["tool", "mcp_server", "model", "checkpoint", "step"],
        Field(description="What the steps have in common; `step` is their type and name, like `tool_call:search`."),
    ]
    name: Annotated[str, Field(min_length=1, max_length=MAX_KEY, description="Which tool, server and so on.")]
    alert: Annotated[Number, Field(gt=1, le=1000)]
    warning: Annotated[Number, Field(gt=1, le=1000)] | None = None
    of: Annotated[
        Literal["p95", "slowest"], Field(description="Their own 95th percentile in the window, or the slowest of them.")
    ] = "p95"
    window_seconds: Window = 300
    baseline_seconds: Annotated[
        Number, Field(ge=_HOUR, le=2 * _DAY, description="Compared with steps of so long before the window.")
    ] = _DAY
    min_samples: Annotated[
        int, Field(ge=5, le=100_000, description="Steps before that are needed at least; of a p95, in the window too.")
    ] = 20


class ErrorRate(Condition):
    """The share of flows that failed."""

    kind: Literal["error_rate"]
    alert: Share
    warning: Share | None = None
    window_seconds: Window = 300
    min_samples: Annotated[int, Field(ge=1, le=1_000_000, description="Flows that are needed at least.")] = 20


class DenialRate(Condition):
    """The share of flows that were denied."""

    kind: Literal["denial_rate"]
    alert: Share
    warning: Share | None = None
    window_seconds: Window = 300
    min_samples: Annotated[int, Field(ge=1, le=1_000_000, description="Flows that are needed at least.")] = 20


class StillRunning(Condition):
    """A flow is still running so many seconds after it began."""

    kind: Literal["still_running"]
    alert: Seconds
    warning: Seconds | None = None


class NoActivity(Condition):
    """No flow has begun, run or ended for so many seconds."""

    kind: Literal["no_activity"]
    alert: Annotated[Seconds, Field(ge=60)]
    warning: Annotated[Seconds, Field(ge=60)] | None = None


class Losses(Condition):
    """Spans or flows were lost, by gateways or viewers: dropped by a full queue, refused by Postgres, left by a process
    that died."""

    kind: Literal["losses"]
    alert: Annotated[int, Field(ge=1, description="So many losses in the window.")] = 1
    warning: Annotated[int, Field(ge=1)] | None = None
    window_seconds: Window = 300
    of: Annotated[
        tuple[Literal["dropped", "not_live", "poisoned", "interrupted", "cut", "spooled", "waiting"], ...],
        Field(
            min_length=1,
            description="dropped: refused by a full queue or a bound, or no room on disk; not_live: not in Redis, so "
            "that live views lack it; poisoned: refused by Postgres; interrupted: flows whose process died; cut: "
            "spans missing in stored flows; spooled: flows that wait on disk; waiting: flows that the reaper "
            "cannot store.",
        ),
    ] = ("dropped", "not_live", "poisoned", "interrupted", "cut", "spooled", "waiting")


AnyCondition = Annotated[
    LongerThan | SlowerThanUsual | StepSlowerThanUsual | ErrorRate | DenialRate | StillRunning | NoActivity | Losses,
    Field(discriminator="kind"),
]
#: The outcome whose share a rate is.
RATED: Final = {"error_rate": names.OUTCOME_ERROR, "denial_rate": names.OUTCOME_DENIED}
UNITS: Final = {
    "longer_than": "ms",
    "slower_than_usual": "times usual",
    "step_slower_than_usual": "times usual",
    "error_rate": "share",
    "denial_rate": "share",
    "still_running": "s",
    "no_activity": "s",
    "losses": "losses",
}


def window_of(condition: Condition) -> float:
    """How long before a moment the flows ended that count for it, in seconds."""
    if isinstance(condition, StillRunning | NoActivity):
        return condition.alert
    window: float = getattr(condition, "window_seconds")  # noqa: B009
    return window
