"""Who a flow belongs to, and how that travels with the request inside one process.

Identity never travels in OpenTelemetry baggage: baggage is sent to every third party that the gateway calls, and an
inbound client can forge it.
"""

from dataclasses import dataclass
from typing import Final

from opentelemetry.context import Context, create_key, get_value, set_value

_KEY: Final = create_key("spanflow-identity")


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known about the person behind a flow. Every field may come late, and each id is an opaque string."""

    user_id: str | None = None
    email: str | None = None
    full_name: str | None = None
    session_id: str | None = None
    conversation_id: str | None = None
    source: str | None = None
    #: Which group of people the user belongs to.
    team: str | None = None

    def merged(self, newer: "Identity") -> "Identity":
        """This identity with every field that `newer` knows taken from it."""
        if newer is NOBODY:
            return self
        if self is NOBODY:
            return newer
        return Identity(
            self.user_id if newer.user_id is None else newer.user_id,
            self.email if newer.email is None else newer.email,
            self.full_name if newer.full_name is None else newer.full_name,
            self.session_id if newer.session_id is None else newer.session_id,
            self.conversation_id if newer.conversation_id is None else newer.conversation_id,
            self.source if newer.source is None else newer.source,
            self.team if newer.team is None else newer.team,
        )


NOBODY: Final = Identity()


def with_identity(identity: Identity, context: Context | None = None) -> Context:
    """A context whose new spans belong to `identity`."""
    return set_value(_KEY, identity, context)


def identity_of(context: Context | None = None) -> Identity:
    """The identity that new spans of this context belong to, `NOBODY` when it is not known yet."""
    value = get_value(_KEY, context)
    return value if isinstance(value, Identity) else NOBODY


def identity_in_context(context: Context) -> Identity:
    """The same without a detour, for every span of every request."""
    value = context.get(_KEY)
    return value if type(value) is Identity else NOBODY
