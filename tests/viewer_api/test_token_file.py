"""The file of access tokens: what it may say, what is refused, and what happens when it changes or is spoilt."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.ids import is_id
from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.auth.claims import clean_name
from spanflow.viewer_api.auth.permissions import Principal, Role, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.auth.token_file import Entry, TokenTable, digest, new_token, origin_of, parsed, written
from spanflow.viewer_api.auth.watched_file import WatchedFile
from tests.support.people import VIEWER_7, write_tokens

HASH = "sha256:" + "ab" * 32


def entry(text: str = "", **keys: str) -> str:
    """The text of one token, with changed lines."""
    lines = {"name": '"grafana"', "hash": f'"{HASH}"', "role": '"admin"', **keys}
    return "[[token]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value) + text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[token]", "is no TOML"),
        ("\xff", "is no TOML"),
        ("[[token]]\nname = " + "[" * 5000, "is no TOML"),
        ("[token]\n", r"under \[\[token\]\]"),
        ("token = [1]\n", r"under \[\[token\]\]"),
        ("[[tokens]]\n", "only .* are known"),
        (entry(name=""), "token 1: a name is missing"),
        (entry(name='""'), "cannot be shown"),
        (entry(name='"a\\u0000b"'), "cannot be shown"),
        (entry(name="7"), "a name is missing"),
        (entry(hash='"secret"'), r"\(grafana\): hash must be"),
        (entry(hash=f'"{HASH.upper()}"'), "hash must be"),
        (entry(role='"owner"'), "role must be one of viewer, monitor, admin, ingest"),
        (entry(role="1"), "role must be one of"),
        (entry(role='["admin"]'), "role must be one of"),
        (entry(token='"x"'), "'token': no such key"),
        (entry(role='"viewer"'), "needs a user_id"),
        (entry(users='["7"]'), "for the role monitor"),
        (entry(role='"monitor"', users="[]"), "for the role monitor"),
        (entry(role='"monitor"', users='"7"'), "for the role monitor"),
        (entry(role='"monitor"', users='["a/b"]'), "user id"),
        (entry(role='"monitor"', users="[true]"), "user id"),
        (entry(role='"monitor"', users=str(list(range(1001)))), "more than 1000 users"),
        (entry(role='"viewer"', user_id="1.5"), "user id"),
        (entry(expires='"2027-01-01"'), "without quotes"),
        (entry(expires="true"), "without quotes"),
        (entry() + entry(hash='"sha256:' + "cd" * 32 + '"'), "the same name"),
        (entry() + entry(name='"other"'), "the same hash"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place_and_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as why:
        parsed(text.encode("latin-1"))
    assert HASH not in str(why.value)


def test_an_entry_says_who_and_what_they_may_do() -> None:
    text = entry(role='"monitor"', users='["7", 8]', user_id="9", expires="2027-01-01")
    (found,) = parsed(text.encode())
    assert found.digest == bytes.fromhex("ab" * 32)
    assert found.owner == Principal(
        name="grafana",
        via=Via.TOKEN,
        role=Role.MONITOR,
        user_id="9",
        scope=frozenset({"7", "8"}),
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        origin=origin_of(bytes.fromhex("ab" * 32)),
    )
    (everybody,) = parsed(entry(role='"monitor"', users='["*"]').encode())
    assert everybody.owner.scope is None
    assert parsed(b"") == ()


def is_name(text: str) -> bool:
    try:
        return clean_name(text) == text
    except Rejected:
        return False


NAMES = st.text(min_size=1, max_size=40).filter(is_name)
IDS = st.text(min_size=1, max_size=40).filter(lambda text: is_id(text) and text != "*")


@given(
    name=NAMES,
    role=st.sampled_from(list(Role)),
    user_id=IDS,
    users=st.none() | st.frozensets(IDS, min_size=1, max_size=5),
    days=st.none() | st.integers(0, 30_000),
)
def test_what_is_written_is_read_as_it_was(
    name: str, role: Role, user_id: str, users: frozenset[str] | None, days: int | None
) -> None:
    token = new_token()
    expires = None if days is None else datetime(2026, 1, 1, 12, 30, 5, tzinfo=UTC) + timedelta(days=days)
    scope = users if role is Role.MONITOR else None
    owner = Principal(name, Via.TOKEN, role, user_id, scope, expires, origin=origin_of(digest(token)))
    text = written(Entry(digest(token), owner))
    assert token not in text
    assert parsed(text.encode()) == (Entry(digest(token), owner),)


SCALARS: st.SearchStrategy[Any] = (
    st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)


@given(st.dictionaries(st.sampled_from(["name", "hash", "role", "users", "user_id", "expires", "x"]), VALUES))
def test_no_table_whatever_is_in_it_makes_an_error_of_another_kind(table: dict[str, Any]) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    with pytest.raises(ValueError):
        parsed(("[[token]]\n" + "\n".join(lines)).encode())


@given(st.binary(max_size=200))
def test_no_bytes_make_an_error_of_another_kind(data: bytes) -> None:
    try:
        parsed(data)
    except ValueError:
        pass


@given(st.text(max_size=100))
def test_no_text_is_somebodys_token_by_chance(text: str) -> None:
    (known,) = parsed(entry().encode())
    assert digest(text) != known.digest


# -- the file while we run ---------------------------------------------------------------------------------------------


def at(path: Path, later: Callable[[], float]) -> TokenTable:
    return TokenTable(WatchedFile("SPANFLOW_VIEWER_TOKENS_FILE", str(path), parsed, later))


def ticking() -> Callable[[], float]:
    """A clock on which a second has passed at every look."""
    now = [0.0]

    def look() -> float:
        now[0] += 1.0
        return now[0]

    return look


def file_of(path: Path, *tokens: str, role: Role = Role.ADMIN) -> None:
    entries = [
        Entry(digest(token), Principal(f"owner {number}", Via.TOKEN, role)) for number, token in enumerate(tokens)
    ]
    path.write_text("\n".join(map(written, entries)))


def test_a_token_holds_for_as_long_as_it_stands_in_the_file(tmp_path: Path) -> None:
    path, one, two = tmp_path / "tokens.toml", new_token(), new_token()
    file_of(path, one)
    book = at(path, ticking())
    known = book.owner(one)
    assert known is not None
    assert (known.name, book.owner(two)) == ("owner 0", None)
    file_of(path, two)
    assert book.owner(one) is None
    assert book.owner(two) is not None
    assert known.origin is not None
    assert book.owner_now(known.origin) is None


def test_a_change_of_role_holds_at_once(tmp_path: Path) -> None:
    path, token = tmp_path / "tokens.toml", new_token()
    file_of(path, token)
    book = at(path, ticking())
    file_of(path, token, role=Role.MONITOR)
    now = book.owner_now(origin_of(digest(token)))
    assert now is not None
    assert now.role is Role.MONITOR


@pytest.mark.parametrize("spoilt", ["[[token]]\nname = 1\n", None])
def test_a_file_that_is_spoilt_or_gone_changes_nothing_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str | None
) -> None:
    caplog.set_level(logging.INFO)
    path, token = tmp_path / "tokens.toml", new_token()
    file_of(path, token)
    book = at(path, ticking())
    if spoilt is None:
        path.unlink()
    else:
        path.write_text(spoilt)
    for _ in range(3):
        assert book.owner(token) is not None
    assert book.problem is not None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    file_of(path, token)
    assert book.owner(token) is not None
    assert book.problem is None


def test_a_file_put_in_its_place_as_kubernetes_does_is_seen(tmp_path: Path) -> None:
    one, two = new_token(), new_token()
    for name, token in (("first", one), ("second", two)):
        (tmp_path / name).mkdir()
        file_of(tmp_path / name / "tokens.toml", token)
    link = tmp_path / "data"
    link.symlink_to("first")
    book = at(link / "tokens.toml", ticking())
    fresh = tmp_path / "data.new"
    fresh.symlink_to("second")
    fresh.replace(link)
    assert (book.owner(one), book.owner(two) is None) == (None, False)


@pytest.mark.parametrize("content", [None, b"[[token]]\n", b"x" * (4 * 1024 * 1024 + 1)])
def test_a_file_that_cannot_be_used_at_the_start_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "tokens.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"SPANFLOW_VIEWER_TOKENS_FILE: .*tokens\.toml"):
        TokenTable.at(str(path))


def test_a_file_that_everybody_may_write_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_tokens(tmp_path / "tokens.toml", VIEWER_7)
    for mode, warned in ((0o600, False), (0o644, False), (0o666, True), (0o602, True)):
        caplog.clear()
        file.chmod(mode)
        TokenTable.at(str(file))
        assert ("is world-writable" in caplog.text) is warned, oct(mode)
