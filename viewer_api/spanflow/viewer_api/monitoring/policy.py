"""What this deployment asks of those who watch: a reason, an end, and whether they see what was said.

Every refusal has a code of its own, so that a page can say what to do about it.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from spanflow.viewer_api.store.watches import Watch

#: A shorter watch would expire before it took effect.
_SHORTEST_SECONDS: Final = 1.0
#: Longer than any policy allows, and still a time that can be reckoned with.
_ENDLESS_HOURS: Final = 1e9
_NEVER: Final = "off"
_ALWAYS: Final = "always"


@dataclass(frozen=True, slots=True)
class MonitoringPolicy:
    """Applied to every call, whatever the role."""

    reason_required: bool
    reason_length: int
    default_hours: float
    max_hours: float
    max_users: int
    #: off, default or always.
    metadata_only: str

    @classmethod
    def from_settings(cls, settings: ViewerSettings) -> "MonitoringPolicy":
        return cls(
            reason_required=settings.monitoring_reason_required,
            reason_length=settings.monitoring_reason_length,
            default_hours=min(settings.monitoring_default_hours, settings.monitoring_max_hours),
            max_hours=settings.monitoring_max_hours,
            max_users=settings.monitoring_max_users,
            metadata_only=settings.monitoring_metadata_only,
        )

    def shown(self) -> dict[str, Any]:
        """What a page must know before it asks."""
        return {
            "reason_required": self.reason_required,
            "reason_length": self.reason_length,
            "default_hours": self.default_hours,
            "max_hours": self.max_hours,
            "max_users": self.max_users,
            "metadata_only": self.metadata_only,
        }

    def reason(self, given: str | None, *, required: bool | None = None) -> str | None:
        """The reason, if it is acceptable. `required` overrides the settings."""
        if given is None:
            if self.reason_required if required is None else required:
                raise Problem(422, "reason_required", "Say why, in `reason` or in the header X-Spanflow-Reason.")
            return None
        if len(given) < self.reason_length:
            raise Problem(422, "reason_too_short", f"The reason must have {self.reason_length} characters at least.")
        return given

    def end(self, hours: float | None, now: float) -> int:
        """When a watch that begins now is over."""
        return self.checked_end(now + self._seconds(self.default_hours if hours is None else hours), now)

    def later_end(self, watch: Watch, hours: float | None, until: float | None, now: float) -> int:
        """When an extended watch is over: so many hours later than it would have been, or at a stated time."""
        if until is None:
            until = watch.expires_at + self._seconds(1.0 if hours is None else hours)
        end = self.checked_end(until, now)
        if end <= watch.expires_at:
            raise Problem(
                422,
                "not_later",
                "The watch lasts at least as long already. To shorten it, enable it again.",
            )
        return end

    def checked_end(self, end: float, now: float) -> int:
        # Rounded up to a second, so that no watch ends before the stated time.
        if math.ceil(end) - math.ceil(now) > self.max_hours * 3600:
            raise Problem(422, "ttl_too_long", f"A user can be watched for {self.max_hours:g} hours from now at most.")
        return math.ceil(end)

    def metadata_only_for(self, asked: bool | None) -> bool:
        """Whether contents are left out, when `asked` is what a watch says of it."""
        return self.metadata_only == _ALWAYS or (self.metadata_only != _NEVER if asked is None else asked)

    def check_metadata_only(self, asked: bool | None) -> None:
        if asked is False and self.metadata_only == _ALWAYS:
            raise Problem(422, "metadata_only_required", "Here users are only watched without contents.")

    def check_number(self, users: int) -> None:
        if users > self.max_users:
            raise Problem(
                409,
                "too_many_watched",
                f"At most {self.max_users} users can be watched at the same time; end another watch first.",
            )

    def _seconds(self, hours: float) -> float:
        if not math.isfinite(hours) or hours * 3600 < _SHORTEST_SECONDS:
            raise Problem(422, "invalid_ttl", "Use a number of hours that make a second at least, such as 0.5 or 24.")
        return min(hours, _ENDLESS_HOURS) * 3600
