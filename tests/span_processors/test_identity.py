"""Identity travels in a Context key of our own and never in baggage."""

from opentelemetry import baggage
from opentelemetry.context import Context

from spanflow.span_processors.identity import NOBODY, Identity, identity_of, with_identity


def test_a_context_carries_the_identity_and_others_do_not() -> None:
    context = with_identity(Identity(user_id="42"), Context())
    assert identity_of(context) == Identity(user_id="42")
    assert identity_of(Context()) is NOBODY


def test_identity_is_not_in_baggage() -> None:
    assert baggage.get_all(with_identity(Identity(user_id="42"), Context())) == {}


def test_what_comes_later_is_added_and_what_was_known_stays() -> None:
    early = Identity(session_id="s1", source="web")
    assert early.merged(Identity(user_id="42", session_id="s2")) == Identity(
        user_id="42", session_id="s2", source="web"
    )
    assert early.merged(NOBODY) is early
