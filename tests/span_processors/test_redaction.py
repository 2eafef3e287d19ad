"""What is hidden before anything is stored or sent, and what is left alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redaction.secret_names import secrecy
from spanflow.span_processors.redaction.secret_patterns import hide_secrets
from spanflow.span_processors.settings import Settings
from tests.support.secret_shapes import SHAPES

# Assembled, so that no scanner takes this file for a leak.
GITHUB_TOKEN = "ghp_" + "a1B2" * 9
JSON_WEB_TOKEN = ".".join(["eyJ" + "hbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxIn0", "c2lnbmF0dXJl"])
PRIVATE_KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA " + "PRIVATE KEY-----"


def redact(**values: Any) -> dict[str, Any]:
    return dict(Redactor().attributes(values)[0])


def test_a_value_is_hidden_when_its_key_names_a_secret() -> None:
    clean, hidden = Redactor().attributes(
        {
            "password": "hunter2",
            "db.dbPassword": "x",
            "http.request.header.authorization": ["Basic abc"],
            "http.request.header.x-api-key": "k",
            "http.response.header.set-cookie": "sid=1",
            "client_secret": 7,
            "accessToken": "abc",
            "mcp": "qa_mcp",
        }
    )
    assert clean == snapshot(
        {
            "password": "[redacted]",
            "db.dbPassword": "[redacted]",
            "http.request.header.authorization": "[redacted]",
            "http.request.header.x-api-key": "[redacted]",
            "http.response.header.set-cookie": "[redacted]",
            "client_secret": "[redacted]",
            "accessToken": "[redacted]",
            "mcp": "qa_mcp",
        }
    )
    assert hidden == 7


def test_token_counts_and_identity_are_no_secrets() -> None:
    kept = {
        "gen_ai.usage.input_tokens": 12,
        "flow.data.tokens": 40,
        "max_token": 5,
        "user.id": "42",
        "user.email": "neo@example.com",
        "session.id": "abc",
        "flow.session_id": "abc",
    }
    clean, hidden = Redactor().attributes(kept)
    assert clean is kept
    assert hidden == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ValueError: password=hunter2 for bob", "ValueError: password=[redacted] for bob"),
        ('{"api_key": "a b c", "mcp": "qa"}', '{"api_key":"[redacted]","mcp":"qa"}'),
        ("Authorization: Bearer abcdefgh12345", "Authorization: [redacted]"),
        ("sent Bearer abcdefgh12345 on", "sent Bearer [redacted] on"),
        (f"push with {GITHUB_TOKEN}!", "push with [redacted]!"),
        (f"jwt {JSON_WEB_TOKEN}", "jwt [redacted]"),
        (f"key {PRIVATE_KEY} end", "key [redacted] end"),
        ("postgresql://bob:hunter2@db/x", "postgresql://[redacted]@db/x"),
        ("card 4111 1111 1111 1111 ok", "card [redacted] ok"),
        ("order 4111 1111 1111 1112 ok", "order 4111 1111 1111 1112 ok"),
        ("at 1738156800123456789 ns", "at 1738156800123456789 ns"),
        ("2026-11-20T18:58:01.123456", "2026-11-20T18:58:01.123456"),
        ("tools/call list_snapshots", "tools/call list_snapshots"),
        ("passwörter sind geheim: ja", "passwörter sind geheim: ja"),
    ],
)
def test_a_text_keeps_all_but_its_secrets(text: str, expected: str) -> None:
    assert Redactor().text(text)[0] == expected


def test_nested_values_are_searched_and_the_rest_keeps_its_shape() -> None:
    assert redact(arguments_list=[{"login": {"user": "bob", "pwd": "x"}}, ("token=abc", 1, None, True)]) == snapshot(
        {"arguments_list": [{"login": {"user": "bob", "pwd": "[redacted]"}}, ["token=[redacted]", 1, None, True]]}
    )


def test_a_text_of_a_class_of_its_own_is_read_as_the_text_it_is() -> None:
    class Odd(str):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

        __hash__ = None  # type: ignore[assignment]

        def __len__(self) -> int:
            return 0

        def __str__(self) -> str:
            return "harmless"

    attributes = {"a": Odd("password=hunter2"), "b": {"c": [Odd("token: x1")]}, "d": Odd("text"), "pwd": Odd("x")}
    assert redact(**attributes) == {
        "a": "password=[redacted]",
        "b": {"c": ["token: [redacted]"]},
        "d": "text",
        "pwd": "[redacted]",
    }


def test_bytes_that_are_a_text_with_a_secret_become_that_text_without_it() -> None:
    assert redact(body=b"password=hunter2", blob=b"\xff\x00") == {"body": "password=[redacted]", "blob": b"\xff\x00"}


def test_a_long_text_is_shortened_and_a_secret_at_the_cut_is_still_found() -> None:
    redactor = Redactor(RedactionPolicy(max_length=100))
    clean, hidden = redactor.text("x" * 90 + " " + GITHUB_TOKEN + "y" * 1000)
    assert GITHUB_TOKEN[:12] not in clean
    assert hidden == 1
    assert clean.endswith("more characters]")
    assert len(clean) < 140


def test_deep_and_wide_values_are_bounded() -> None:
    deep: Any = "end"
    for _ in range(50):
        deep = [deep]
    clean = redact(deep=deep, wide=list(range(50_000)))
    assert "[nested too deep]" in repr(clean["deep"])
    assert 1000 < len(clean["wide"]) <= 4096


def test_content_is_left_out_by_default_and_kept_or_fingerprinted_on_request() -> None:
    attributes = {"flow.data.prompt": "hello", "gen_ai.tool.call.arguments": {"id": 1}, "flow.data.tool": "list"}
    results = {
        policy: Redactor(RedactionPolicy(content=policy)).attributes(attributes) for policy in ("off", "hash", "full")
    }
    assert results == snapshot(
        {
            "off": ({"flow.data.tool": "list"}, 2),
            "hash": (
                {
                    "flow.data.prompt": "sha256:2cf24dba5fb0a30e (5 characters)",
                    "gen_ai.tool.call.arguments": "sha256:d139e841ffa1f117 (9 characters)",
                    "flow.data.tool": "list",
                },
                2,
            ),
            "full": (
                {"flow.data.prompt": "hello", "gen_ai.tool.call.arguments": {"id": 1}, "flow.data.tool": "list"},
                0,
            ),
        }
    )


def test_settings_add_names_keep_names_and_hide_addresses() -> None:
    settings = Settings.from_environ(
        {
            "SPANFLOW_REDACT_KEYS": "tenant, Badge",
            "SPANFLOW_REDACT_KEEP_KEYS": "flow.data.token_name",
            "SPANFLOW_REDACT_EMAILS": "yes",
        }
    )
    redactor = Redactor(RedactionPolicy.from_settings(settings))
    assert redactor.attributes(
        {
            "flow.data.tenant": "a",
            "badge": 7,
            "flow.data.token_name": "ci",
            "note": "ask neo@example.com",
            "user.email": "neo@example.com",
        }
    ) == (
        {
            "flow.data.tenant": "[redacted]",
            "badge": "[redacted]",
            "flow.data.token_name": "ci",
            "note": "ask [redacted]",
            "user.email": "neo@example.com",
        },
        3,
    )


def test_a_name_that_was_added_hides_its_values_in_texts_that_are_json_too() -> None:
    redactor = Redactor(RedactionPolicy(secret_keys=("tenant", "badge number")))
    assert redactor.text('{"tenant": "a", "rest": [{"Badge Number": 7}]}') == (
        '{"tenant":"[redacted]","rest":[{"Badge Number":"[redacted]"}]}',
        2,
    )
    assert redactor.text('{"tenants": "a"}') == ('{"tenants": "a"}', 0)


@pytest.mark.parametrize("between", [" ", "\n", "  \n "])
@pytest.mark.parametrize("first", ["password:", "Bearer=", "passwords: token="])
def test_a_name_behind_a_name_does_not_save_its_value(first: str, between: str) -> None:
    clean, hidden = Redactor().text(f"{first}{between}token: hunter2 ok")
    assert "hunter2" not in clean and clean.endswith(" ok") and hidden
    assert Redactor().text(clean) == (clean, 0)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Bearer='\n<a><password type='x'>hunter2</password></a>", "Bearer='[redacted]'x'>[redacted]</password></a>"),
        ('<token>password="a</token> hunter2" c', "<token>[redacted]"),
        ("<password>token=abc hunter2</password> c", "<password>[redacted]</password> c"),
        ('Password="\nCookie: sid="hunter2", a="hunter2"\nx', 'Password="[redacted]"\nx'),
        ("token: '\npwd: 'hunter2'\nx", "token: '[redacted]'\nx"),
        ("Password=\npassword=(a hunter2)\nx", "Password=\n[redacted]\nx"),
    ],
)
def test_two_secrets_that_overlap_are_both_hidden(text: str, clean: str) -> None:
    """Hiding one must not take away what the other is known by."""
    assert hide_secrets(text)[0] == clean
    assert hide_secrets(clean)[0] == clean


@given(st.text(max_size=400))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once, _ = Redactor().text(text)
    assert hide_secrets(once) == (once, 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_redacted_is_left_as_it_is(shape: str) -> None:
    """A checkpoint's text is searched when it is set, when it is stored and when it is exported."""
    once, hidden = Redactor().text(SHAPES[shape](7).text)
    assert hidden
    assert Redactor().text(once) == (once, 0)


@pytest.mark.parametrize(
    "text",
    [
        "the secretary: Ann, her passport: 12",
        "tokens: 40, max_token=5, input_token: 1200",
        "Basic information about token authentication. Digest algorithms",
        "ssh://git@github.com/acme/shop and bob@example.com",
        "took 1738156800123 ms at 1738156800123456789, 0.4111111111111111 of 4111 1111 1111 1112",
        "the primary key: 5, monkey=1, hotkeys: none, key: value",
        "passed: 3, bypass=no, compass: north",
        "risk-assessment-of-the-new-framework task-force-of-many-people",
        "550e8400-e29b-41d4-a716-446655440000 ls_eyJ.x eyJustice.a",
        '{"tool": "list", "key": "a", "auth": {"checked": true}, "tokens": {"in": 1}}',
        "if a < b: return c[d] # authorize(user)",
        "<p class='x'>text</p><br>",
    ],
)
def test_what_only_sounds_like_a_secret_stays(text: str) -> None:
    assert Redactor().text(text) == (text, 0)


def test_names_that_only_sound_like_secrets_are_none() -> None:
    names = (
        "passed bypass compass secretary tokenizer tokens input_tokens primary_key monkey key author auth_check".split()
    )
    assert [name for name in names if secrecy(name)] == []


@given(st.sampled_from([GITHUB_TOKEN, JSON_WEB_TOKEN]), st.text(max_size=50), st.text(max_size=50))
def test_a_credential_never_survives_whatever_stands_around_it(secret: str, before: str, after: str) -> None:
    assert secret not in Redactor().text(f"{before} {secret} {after}")[0]


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "1 " * 50_000, "password" * 12_500, "eyJ" * 30_000, "a@" * 50_000, "://" * 30_000]
)
def test_hostile_texts_are_searched_in_one_pass(text: str) -> None:
    """Each of these would take minutes with a pattern that backtracks."""
    assert isinstance(Redactor(RedactionPolicy(hide_emails=True, max_length=1_000_000)).text(text)[0], str)
