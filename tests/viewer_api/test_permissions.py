"""Whom a principal sees, and what a signed token keeps of whoever it was made for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.viewer_api.auth.permissions import RIGHTS, Principal, Right, Role, Via, allowed, rights_of
from spanflow.viewer_api.auth.signed_tokens import MAX_LENGTH, Kind, Signer, TooLong

SECRET = "a-secret-for-tests-0123456789"
NOW = 1_767_614_400.0
ids = st.text(min_size=1, max_size=12)
principals = st.builds(
    Principal,
    name=st.text(min_size=1, max_size=40),
    via=st.sampled_from(Via),
    role=st.sampled_from(Role),
    user_id=st.none() | ids,
    scope=st.none() | st.frozensets(ids, max_size=10),
    expires_at=st.none() | st.just(datetime.fromtimestamp(NOW + 60, UTC)),
    credential=st.none() | st.binary(min_size=32, max_size=32),
    origin=st.none() | st.just("token:1f"),
)


@given(principals, st.none() | ids)
def test_seeing_is_being_among_the_visible(principal: Principal, user_id: str | None) -> None:
    visible = principal.visible
    assert principal.sees(user_id) == (visible is None or user_id in visible)
    # Nobody but those who see everybody sees what is nobody's.
    assert principal.sees(None) == (visible is None)


@given(principals)
def test_a_role_bounds_what_is_visible(principal: Principal) -> None:
    own = set() if principal.user_id is None else {principal.user_id}
    expected = {
        Role.ADMIN: None,
        Role.MONITOR: None if principal.scope is None else principal.scope | own,
        Role.VIEWER: own,
        Role.INGEST: own,
    }[principal.role]
    assert principal.visible == expected


def test_each_role_has_the_rights_of_the_one_below() -> None:
    assert RIGHTS[Role.VIEWER] < RIGHTS[Role.MONITOR] < RIGHTS[Role.ADMIN] == frozenset(Right)
    for role in Role:
        principal = Principal("ada", Via.TOKEN, role)
        assert {right for right in Right if allowed(principal, right)} == rights_of(principal)


@given(principals, st.sampled_from(Kind))
def test_a_signed_token_says_exactly_what_its_owner_may_do(owner: Principal, kind: Kind) -> None:
    signer = Signer(SECRET)
    token = signer.mint(kind, owner, NOW + 30)
    claim = signer.read(kind, token, NOW)
    assert claim is not None
    made = claim.principal(Via.SESSION, claim.expires, claim.fingerprint)
    assert (made.name, made.role, made.user_id, made.origin) == (owner.name, owner.role, owner.user_id, owner.origin)
    # The users of a configured token are looked up again.
    assert made.scope == (None if owner.origin is not None else owner.scope)
    assert claim.parent == owner.credential
    # Not one moment longer than its own time, or its owner's.
    assert signer.read(kind, token, NOW + 30) is None
    ended = signer.mint(kind, owner, NOW + 3600)
    assert (signer.read(kind, ended, NOW + 60) is None) == (owner.expires_at is not None)


def test_more_users_than_a_cookie_can_hold_are_not_left_out_silently() -> None:
    signer = Signer(SECRET)
    scope = frozenset(f"user-{number:05}" for number in range(400))
    with pytest.raises(TooLong):
        signer.mint(Kind.SESSION, Principal("ada", Via.JWT, Role.MONITOR, scope=scope), NOW + 60)
    configured = Principal("ada", Via.TOKEN, Role.MONITOR, scope=scope, origin="token:1f")
    assert len(signer.mint(Kind.SESSION, configured, NOW + 60)) < MAX_LENGTH
