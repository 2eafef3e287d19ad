"""Whose request it is by its token's claims: read where that is wanted, believed least, and never repeated."""

import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import fastapi
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.instrumentation.jwt_claims import JwtClaims
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings
from tests.instrumentation.conftest import Recorded
from tests.support.asgi_server import serving

Start = Callable[..., Recorded]
CLAIMS = {"sub": "u-17", "email": "ann@example.com", "name": "Ann", "realm": {"team": "red"}, "https://a.b/c": "s-1"}
STANDARD = ("user_id=sub", "email=email", "full_name=name")


def part(document: object) -> str:
    return urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def token(claims: object) -> str:
    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


def identity_of(value: str | bytes, *claims: str, header: str = "Authorization") -> Identity | None:
    raw = value.encode() if isinstance(value, str) else value
    return JwtClaims(header, claims or STANDARD)({"headers": [(header.lower().encode(), raw)]})


def test_claims_become_an_identity_wherever_they_stand() -> None:
    assert identity_of(f"Bearer {token(CLAIMS)}") == Identity(user_id="u-17", email="ann@example.com", full_name="Ann")
    named = ("user_id=email", "team=realm.team", "session_id=https://a.b/c", "source=realm.none")
    assert identity_of(token(CLAIMS), *named, header="X-Assertion") == Identity(
        user_id="ann@example.com", team="red", session_id="s-1"
    )
    assert identity_of(f"bearer {token({'sub': 17})}") == Identity(user_id="17")


@pytest.mark.parametrize(
    "value",
    [
        "Bearer sk-litellm-master-key",
        "Basic YW5uOnNlY3JldA==",
        "Bearer a.b.c",
        f"Bearer {part({})}.{part(['sub'])}.x",
        f"Bearer {token({'sub': 'x' * 20_000})}",
        "Bearer ..",
        b"Bearer \xff\xfe.\xff.\xff",
        "",
    ],
)
def test_what_is_no_token_says_nothing(value: str | bytes) -> None:
    assert identity_of(value) is None


@pytest.mark.parametrize("sub", [None, True, "", "a/b", {"id": 1}, ["a"], "x" * 200, 1.5])
def test_a_claim_that_can_be_no_id_names_nobody(sub: object) -> None:
    assert identity_of(token({"sub": sub}), "user_id=sub") is NOBODY


def test_two_different_tokens_name_nobody() -> None:
    headers = [(b"authorization", token({"sub": who}).encode()) for who in ("ann", "bob")]
    assert JwtClaims("authorization", STANDARD)({"headers": headers}) is None


@given(st.binary(max_size=200))
def test_whatever_stands_in_the_header_nothing_is_raised(value: bytes) -> None:
    identity_of(value)
    identity_of(b"a." + value + b".c")


def gateway() -> Any:
    app = fastapi.FastAPI()

    @app.get("/ask")
    async def ask() -> str:
        return "done"

    return app


def ask(address: str, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert httpx.get(f"http://{address}/ask", headers=named).status_code == 200


def test_by_default_no_token_is_looked_at(started: Start) -> None:
    recorded = started()
    with serving(gateway()) as address:
        ask(address, Authorization=f"Bearer {token(CLAIMS)}")
    assert "user.id" not in (recorded.only("GET /ask").attributes or {})


def test_a_request_belongs_to_whom_its_token_names_and_the_token_is_nowhere(
    started: Start, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = started(jwt_claims=STANDARD)
    secret = token(CLAIMS)
    with caplog.at_level(logging.DEBUG), serving(gateway()) as address:
        ask(address, Authorization=f"Bearer {secret}")
        ask(address, Authorization="Bearer not-one")
    first, second = recorded.spans
    assert (first.attributes or {})["user.id"] == "u-17"
    assert (first.attributes or {})["user.email"] == "ann@example.com"
    assert "user.id" not in (second.attributes or {})
    everything = caplog.text + "".join(str(span.to_json()) for span in recorded.spans)
    assert secret not in everything and secret.split(".")[1] not in everything


def test_a_trusted_proxys_header_counts_more(started: Start) -> None:
    recorded = started(jwt_claims=STANDARD)
    with serving(gateway()) as address:
        ask(address, Authorization=f"Bearer {token(CLAIMS)}", X_User_Id="bob")
    attributes = recorded.only("GET /ask").attributes or {}
    assert attributes["user.id"] == "bob" and "user.email" not in attributes


def test_settings_say_which_claim_is_what() -> None:
    read = Settings.from_environ({"SPANFLOW_JWT_CLAIMS": "standard, team = realm.team"})
    assert read.jwt_claims == (*STANDARD, "team=realm.team")
    with pytest.raises(SettingsError, match="is no claim"):
        Settings.from_environ({"SPANFLOW_JWT_CLAIMS": "sub"})
