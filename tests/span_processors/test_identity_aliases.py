"""Gateways and instrumentations that name the person in attributes of their own."""

from typing import Any, cast

import pytest

from spanflow.span_processors import names
from spanflow.span_processors.event.event import Event
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.tree import flow_data
from spanflow.span_processors.tree.flow_identity import identity_of_flow
from tests.span_processors.test_encoder import Desk

KEY_HASH = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"


def entry(node_id: str, parent_id: str | None = "root", **attributes: Any) -> Event:
    said = {name.replace("__", "."): value for name, value in attributes.items()}
    made = {"node_id": node_id, "parent_id": parent_id, "phase": "end", "start_ns": "1", "attributes": said}
    return cast(Event, made)


def of(*said: dict[str, Any]) -> Identity:
    entries = [entry("root", None)]
    entries += [entry(f"{place}", **attributes) for place, attributes in enumerate(said)]
    return identity_of_flow(entries)


def started(desk: Desk, attributes: dict[str, Any], parent: Any = None) -> Any:
    return desk.start("chat", parent, NOBODY, **attributes)


@pytest.mark.parametrize("alias", names.USER_ID_ALIASES)
def test_each_alias_names_the_user(alias: str) -> None:
    assert of({alias: "ana"}).user_id == "ana"
    desk = Desk()
    desk.end(started(desk, {alias: "ana"}))
    assert desk.after(3)[0].identity.user_id == "ana"


@pytest.mark.parametrize("alias", names.SESSION_ID_ALIASES)
def test_each_alias_names_the_session(alias: str) -> None:
    assert of({alias: "s-1"}).session_id == "s-1"
    desk = Desk()
    desk.end(started(desk, {alias: "s-1"}))
    assert desk.after(3)[0].identity.session_id == "s-1"


@pytest.mark.parametrize("alias", names.USER_EMAIL_ALIASES)
def test_each_alias_tells_the_email_address(alias: str) -> None:
    assert of({alias: "ana@example.com"}).email == "ana@example.com"


@pytest.mark.parametrize("better", range(len(names.USER_ID_ALIASES)))
def test_the_better_place_counts_whichever_span_comes_last(better: int) -> None:
    places = ("user.id", *names.USER_ID_ALIASES)
    for first, last in ((better, better + 1), (better + 1, better)):
        assert of({places[first]: str(first)}, {places[last]: str(last)}).user_id == str(better)
        desk = Desk()
        root = desk.start("POST /chat")
        for place in (first, last):
            desk.end(started(desk, {places[place]: str(place)}, root))
        desk.end(root)
        part = desk.after(3)[0]
        assert part.identity.user_id == str(better)


def test_whom_the_gateway_identifies_counts_over_any_alias() -> None:
    desk = Desk()
    root = desk.start("POST /chat")
    span = desk.start("chat", root)
    desk.encoder.identify(root.context.trace_id, Identity(user_id="ana"), 1, desk.now)
    span.set_attribute("enduser.id", "bob")
    desk.end(span)
    desk.end(root)
    part = desk.after(3)[0]
    assert part.identity.user_id == "ana"
    stated = flow_data.build("f", [entry("root", None, enduser__id="bob")], identity=Identity(user_id="ana"))
    assert stated["user_id"] == "ana"


def test_an_alias_that_comes_late_names_the_flow() -> None:
    desk = Desk()
    root = desk.start("Received Proxy Server Request")
    span = desk.start("litellm_request", root)
    span.set_attributes({"metadata.user_api_key_user_id": "ana", "metadata.user_api_key_user_email": "ana@example.com"})
    desk.end(span)
    desk.end(root)
    part = desk.after(3)[0]
    assert part.identity == Identity(user_id="ana", email="ana@example.com")


@pytest.mark.parametrize(
    "attributes",
    [
        {"metadata.user_api_key_hash": KEY_HASH},
        {"metadata.user_api_key": KEY_HASH},
        {"litellm.api_key.hash": KEY_HASH},
        {"metadata.user_api_key_user_id": KEY_HASH},
        {"enduser.id": "sk-" + "a1B2c3D4e5F6g7H8"},
        {"enduser.id": ""},
        {"enduser.id": "None"},
        {"enduser.id": "[redacted]"},
        {"metadata.user_api_key_alias": "batch jobs"},
    ],
)
def test_a_key_its_hash_and_a_blank_name_nobody(attributes: dict[str, Any]) -> None:
    assert of(attributes) == NOBODY
    desk = Desk()
    desk.end(started(desk, attributes))
    assert desk.after(3)[0].identity == NOBODY


def test_aliases_are_no_secrets_and_keys_are() -> None:
    aliases = {
        **dict.fromkeys((*names.USER_ID_ALIASES, *names.SESSION_ID_ALIASES), "ana"),
        **dict.fromkeys(names.USER_EMAIL_ALIASES, "ana@example.com"),
    }
    clean, hidden = Redactor().attributes(aliases)
    assert (clean, hidden) == (aliases, 0)
    keys = {"metadata.user_api_key_hash": KEY_HASH, "litellm.api_key.hash": KEY_HASH, "metadata.user_api_key": "x"}
    assert set(Redactor().attributes(keys)[0].values()) == {"[redacted]"}
    secret = "sk-" + "a1B2c3D4e5F6g7H8"
    assert Redactor().attributes({"enduser.id": secret})[0] == {"enduser.id": "[redacted]"}
    policy = RedactionPolicy(hide_emails=True)
    assert Redactor(policy).attributes({"metadata.user_api_key_user_email": "ana@example.com"})[1] == 1


def test_a_master_key_names_nobody_and_the_requests_own_word_for_its_user_counts() -> None:
    """LiteLLM calls whoever holds its master key so; `user` of a request's body is in `llm.user`."""
    by_key = {"metadata.user_api_key_user_id": "default_user_id"}
    assert of(by_key).user_id is None
    assert of({**by_key, "llm.user": "ana"}).user_id == "ana"
    assert of({"metadata.user_api_key_user_id": "ben", "llm.user": "ana"}).user_id == "ben"
