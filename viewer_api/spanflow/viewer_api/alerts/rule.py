"""A rule: which flows, which condition, how patiently it fires and resolves, and where that is told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from spanflow.span_processors.ids import IdError, as_id
from spanflow.span_processors.tree.step_keys import MAX_KEY
from spanflow.viewer_api.alerts.condition import (
    UNITS,
    AnyCondition,
    Losses,
    NoActivity,
    StepSlowerThanUsual,
    StillRunning,
)
from spanflow.viewer_api.alerts.step_times import StepWindow
from spanflow.viewer_api.store.flow_filters import Filters

MAX_NAME: Final = 200
_DAY: Final = 86_400
_MAX_VALUES: Final = 50
_MAX_CHANNELS: Final = 10


def _id(value: Any) -> str:
    try:
        return as_id(value)
    except IdError as why:
        raise ValueError(str(why)) from None


def _plain(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be printable text")
    return text.strip()


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_plain)]
Names = Annotated[tuple[Name, ...], Field(max_length=_MAX_VALUES)]
Steps = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_KEY), AfterValidator(_plain)], ...],
    Field(max_length=_MAX_VALUES, description="Type and name of a step, like `tool_call:search`."),
]
Ids = Annotated[tuple[Annotated[str, BeforeValidator(_id)], ...], Field(max_length=_MAX_VALUES)]


class RuleFilters(BaseModel):
    """The flows that count, by the filters of `GET /flows`: every one must hold, of several values of one, any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: Ids = ()
    source: Names = ()
    checkpoint: Names = ()
    step: Steps = ()
    tool: Names = ()
    mcp_server: Names = ()
    model: Names = ()

    def filters(self) -> Filters:
        return Filters(
            user_ids=self.user_id or None,
            sources=self.source or None,
            event_types=self.checkpoint or None,
            steps=self.step or None,
            tools=self.tool or None,
            mcp_servers=self.mcp_server or None,
            models=self.model or None,
        )

    def pairs(self) -> list[tuple[str, str]]:
        """As parameters of a search."""
        return [(name, value) for name, values in self.model_dump().items() for value in values]


class Definition(BaseModel):
    """A rule as its author writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Name, Field(description="Stands in every notification.")]
    condition: AnyCondition
    filters: RuleFilters = RuleFilters()
    for_seconds: Annotated[
        float, Field(ge=0, le=_DAY, description="The condition must hold for so long before the rule fires.")
    ] = 0
    resolve_seconds: Annotated[
        float, Field(ge=0, le=_DAY, description="It must not hold for so long before the rule is resolved.")
    ] = 60
    cooldown_seconds: Annotated[
        float, Field(ge=0, le=_DAY, description="Between two notifications of firing lies so much time at least.")
    ] = 300
    flapping_changes: Annotated[
        int, Field(ge=3, le=100, description="A rule that begins or ceases to hold so often is flapping.")
    ] = 6
    flapping_seconds: Annotated[float, Field(ge=60, le=_DAY, description="Within so much time.")] = 1800
    no_data: Annotated[
        Literal["keep", "ok", "alert"],
        Field(description="Without enough samples, the state stays as it is, counts as well, or is an alert."),
    ] = "keep"
    channels: Annotated[
        tuple[Annotated[str, Field(pattern="^[0-9a-f]{16}$")], ...],
        Field(max_length=_MAX_CHANNELS, description="Ids of the channels that are notified."),
    ] = ()

    @model_validator(mode="after")
    def _losses_are_of_all(self) -> "Definition":
        if isinstance(self.condition, Losses) and self.filters.pairs():
            raise ValueError("losses are counted over all flows: leave out the filters")
        if isinstance(self.condition, StepSlowerThanUsual) and self.filters.pairs():
            raise ValueError("steps are those of all flows, by their name: leave out the filters")
        return self

    @property
    def user_ids(self) -> tuple[str, ...] | None:
        """The users whom it is about; None: all flows."""
        return self.filters.user_id or None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is stored."""

    rule_id: str
    definition: Definition
    enabled: bool
    snoozed_until: datetime | None
    version: int
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str

    def is_snoozed(self, now: datetime) -> bool:
        return self.snoozed_until is not None and now < self.snoozed_until

    def link(self, since: datetime, until: datetime, baseline: float | None = None) -> str | None:
        """A search for the flows behind what the rule has found between two moments; None: there are none.

        `baseline` is what was usual then, in milliseconds, for a condition that compares with it.
        """
        condition = self.definition.condition
        if isinstance(condition, Losses):
            return None
        pairs = self.definition.filters.pairs()
        if isinstance(condition, StepSlowerThanUsual):
            window = StepWindow.at(condition, until)
            pairs += [(condition.by, condition.name), ("started_since", _text(window.low))]
            pairs += [("started_until", _text(window.high)), ("sort", "duration")]
            return f"/api/v1/flows?{urlencode(pairs)}"
        match condition.kind:
            case "longer_than":
                pairs.append(("min_duration_ms", _number(condition.lowest)))
            case "error_rate":
                pairs.append(("outcome", "error"))
            case "denial_rate":
                pairs.append(("outcome", "denied"))
            case "slower_than_usual":
                if baseline is not None:
                    pairs.append(("min_duration_ms", _number(condition.lowest * baseline)))
                pairs.append(("sort", "duration"))
        if isinstance(condition, StillRunning):
            # They may be stored by the time that someone opens them.
            pairs.append(("started_until", _text(since)))
            pairs.append(("since", _text(until)))
        elif not isinstance(condition, NoActivity):
            pairs += [("since", _text(since)), ("until", _text(until))]
        return f"/api/v1/flows?{urlencode(pairs)}"

    @property
    def unit(self) -> str:
        return UNITS[self.definition.condition.kind]


def _number(value: float) -> str:
    """All of its digits: a search must not find less, or more, than the rule."""
    return repr(float(value)).removesuffix(".0")


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
