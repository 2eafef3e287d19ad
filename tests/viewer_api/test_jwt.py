"""JSON Web Tokens of a service of your own: which are believed, what they say, and which are not."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.auth.claims import ClaimReader, claim, clean_name
from spanflow.viewer_api.auth.exposure import settled
from spanflow.viewer_api.auth.jwt_verification import verified
from spanflow.viewer_api.auth.own_tokens import OwnTokens
from spanflow.viewer_api.auth.permissions import Role, Via
from spanflow.viewer_api.auth.rejected import Rejected
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.live_client import live
from tests.viewer_api.conftest import MakeViewer

ISSUER = "https://auth.example"
SECRET = "a-secret-that-is-long-enough-for-hs256"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)


def pem(key: Any) -> bytes:
    written: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return written


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {"iss": ISSUER, "aud": "spanflow", "sub": "7", "exp": now + 60, "role": "monitor", **changes}
    return {name: value for name, value in whole.items() if value is not None}


def settings(**changes: Any) -> ViewerSettings:
    return replace(
        ViewerSettings(viewer_jwt_issuer=ISSUER, viewer_jwt_algorithm="HS256", viewer_jwt_secret=SECRET), **changes
    )


def signed(stated: dict[str, Any]) -> str:
    """A token with a good signature, also around what a good encoder refuses."""
    return jwt.api_jws.encode(json.dumps(stated).encode(), SECRET, "HS256")


async def why(token: str, tokens: OwnTokens) -> str:
    with pytest.raises(Rejected) as rejected:
        await tokens.principal(token)
    return str(rejected.value)


@pytest.mark.anyio
async def test_a_good_token_says_who_it_is() -> None:
    tokens = OwnTokens(settings(viewer_jwt_users_claim="users"))
    token = jwt.encode(claims(email="ada@example.org", users=["7", 8]), SECRET, "HS256")
    ada = await tokens.principal(token)
    assert (ada.name, ada.via, ada.role, ada.user_id, ada.scope) == (
        "ada@example.org",
        Via.JWT,
        Role.MONITOR,
        "7",
        frozenset({"7", "8"}),
    )
    assert ada.expires_at is not None


KEYS: dict[str, Any] = {
    "RS256": RSA,
    "PS512": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.anyio
@pytest.mark.parametrize("algorithm", KEYS)
async def test_each_algorithm_works_with_its_key_file_and_no_other_does(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(KEYS[algorithm]))
    tokens = OwnTokens(settings(viewer_jwt_algorithm=algorithm, viewer_jwt_secret="", viewer_jwt_key_file=str(path)))
    for signed_with, key in KEYS.items():
        token = jwt.encode(claims(), key, signed_with)
        if signed_with == algorithm:
            assert (await tokens.principal(token)).name == "7"
        else:
            assert await why(token, tokens) == "of another algorithm"


def part(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.anyio
async def test_tricks_with_the_algorithm_do_not_work(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(RSA))
    tokens = OwnTokens(settings(viewer_jwt_algorithm="RS256", viewer_jwt_secret="", viewer_jwt_key_file=str(path)))
    # The public key as the secret of an HMAC; the library itself refuses to sign so, an attacker does not.
    head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims())}"
    confused = f"{head}.{part(hmac.new(pem(RSA), head.encode(), hashlib.sha256).digest())}"
    assert await why(confused, tokens) == "of another algorithm"
    for unsigned in ("none", "None", "NONE", ""):
        assert await why(f"{part({'alg': unsigned})}.{part(claims())}.", tokens) == "of another algorithm"
    assert await why(f"{part({'alg': 'RS256'})}.{part(claims())}.", tokens) == "of a wrong signature"
    # A key that the token itself brings along.
    own_key = jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_RSA.public_key(), as_dict=True)
    for header in ({"jwk": own_key}, {"jku": "https://evil.example/keys"}, {"kid": "../../key.pem"}):
        token = jwt.encode(claims(), OTHER_RSA, "RS256", headers=header)
        assert await why(token, tokens) == "of a wrong signature"
    assert (await tokens.principal(jwt.encode(claims(), RSA, "RS256"))).name == "7"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "without a claim that it must have"),
        ({"exp": int(time.time()) - 31}, "expired"),
        ({"exp": "soon"}, "not well formed"),
        ({"exp": 10**30}, "a time that cannot be one"),
        ({"nbf": int(time.time()) + 86_400}, "not valid yet"),
        ({"iat": int(time.time()) + 86_400}, "not valid yet"),
        ({"iss": None}, "without a claim that it must have"),
        ({"iss": "https://evil.example"}, "of another issuer"),
        ({"iss": [ISSUER]}, "of another issuer"),
        ({"aud": None}, "without a claim that it must have"),
        ({"aud": "elsewhere"}, "meant for another audience"),
        ({"aud": ["elsewhere", "there"]}, "meant for another audience"),
        ({"sub": "a/b"}, "a user id that cannot be one"),
        ({"sub": None}, "no name"),
        ({"email": "a\u202eb"}, "a name that cannot be shown"),
    ],
)
async def test_a_token_that_is_not_meant_so_is_rejected(changes: dict[str, Any], reason: str) -> None:
    assert await why(signed(claims(**changes)), OwnTokens(settings())) == reason


@pytest.mark.anyio
async def test_clocks_may_differ_by_the_leeway() -> None:
    late, soon = claims(exp=int(time.time()) - 20), claims(nbf=int(time.time()) + 20)
    for stated in (late, soon):
        token = jwt.encode(stated, SECRET, "HS256")
        assert (await OwnTokens(settings()).principal(token)).name == "7"
        await why(token, OwnTokens(settings(viewer_jwt_leeway=5.0)))


@pytest.mark.anyio
async def test_an_audience_among_several_is_enough() -> None:
    token = jwt.encode(claims(aud=["elsewhere", "spanflow"]), SECRET, "HS256")
    assert (await OwnTokens(settings()).principal(token)).name == "7"


# -- what claims mean --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "role"),
    [
        ("admin", Role.ADMIN),
        ("ADMIN", Role.ADMIN),
        ("super_admin", Role.ADMIN),
        (["staff", "Support"], Role.MONITOR),
        (["viewer", "support", "nonsense"], Role.MONITOR),
        ("viewer,super_admin", Role.ADMIN),
        ("nonsense", Role.VIEWER),
        (None, Role.VIEWER),
        (17, Role.VIEWER),
        ({"admin": True}, Role.VIEWER),
        (["banned", "viewer"], Role.VIEWER),
    ],
)
def test_role_words_mean_what_the_settings_say(said: Any, role: Role) -> None:
    roles = (("super_admin", "admin"), ("support", "monitor"), ("banned", "none"))
    reader = ClaimReader(settings(viewer_roles=roles))
    assert reader.principal(claims(role=said), Via.JWT).role is role


def test_nobody_gets_in_by_a_word_that_lets_nobody_in() -> None:
    for changes, said in (({"viewer_default_role": "none"}, "x"), ({"viewer_roles": (("banned", "none"),)}, "banned")):
        with pytest.raises(Rejected, match="no role here"):
            ClaimReader(settings(**changes)).principal(claims(role=said), Via.JWT)


def test_a_monitor_without_the_claim_that_names_users_sees_nobody() -> None:
    reader = ClaimReader(settings(viewer_jwt_users_claim="people"))
    assert reader.principal(claims(), Via.JWT).scope == frozenset()
    assert reader.principal(claims(people="7, 8"), Via.JWT).scope == frozenset({"7", "8"})
    assert reader.principal(claims(people=["*"]), Via.JWT).scope is None
    with pytest.raises(Rejected):
        reader.principal(claims(people=list(range(1001))), Via.JWT)


@pytest.mark.parametrize("verified", [False, "false"])
def test_an_address_that_the_issuer_has_not_verified_is_nobodys(verified: Any) -> None:
    stated = claims(email="boss@example.org", email_verified=verified, preferred_username="eve", role="viewer")
    eve = ClaimReader(settings()).principal(stated, Via.JWT)
    assert (eve.name, eve.user_id) == ("eve", "7")
    by_address = ClaimReader(settings(viewer_jwt_user_claim="email"))
    assert by_address.principal(stated, Via.JWT).visible == frozenset()
    for known in (True, "true", None):
        boss = by_address.principal({**stated, "email_verified": known}, Via.JWT)
        assert (boss.name, boss.user_id) == ("boss@example.org", "boss@example.org")


def test_claims_are_found_by_name_or_path() -> None:
    stated = {"https://example.com/roles": "a", "realm_access": {"roles": ["b"]}, "a.b": 1, "a": {"b": 2}}
    assert claim(stated, "https://example.com/roles") == "a"
    assert claim(stated, "realm_access.roles") == ["b"]
    assert claim(stated, "a.b") == 1
    assert claim(stated, "realm_access.roles.more") is None
    assert claim(stated, "nothing") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["sub", "email", "name", "role", "users", "nbf", "iat", "jti"]), JSON))
def test_a_signed_token_with_any_claims_is_understood_or_rejected(stated: dict[str, Any]) -> None:
    token = signed({**claims(), **stated})
    reader = ClaimReader(settings(viewer_jwt_users_claim="users"))
    try:
        read = verified(token, SECRET.encode(), "HS256", issuer=ISSUER, audience="spanflow", leeway=30)
        reader.principal(read, Via.JWT)
    except Rejected:
        pass


RAW = st.binary(max_size=60) | JSON.map(lambda data: json.dumps(data).encode())


@given(st.tuples(RAW, RAW, RAW).map(lambda parts: ".".join(map(part, parts))) | st.text(max_size=80))
def test_no_text_whatever_makes_an_error_of_another_kind(token: str) -> None:
    with pytest.raises(Rejected):
        verified(token, SECRET.encode(), "HS256", issuer=ISSUER, audience="spanflow", leeway=30)


def test_a_token_that_nests_without_end_or_is_endless_is_rejected() -> None:
    deep = part(b"[" * 10_000)
    for token in (f"{deep}.{deep}.x", f"{part(b'{' * 9000)}.x.x", "ey" + "x" * 20_000):
        with pytest.raises(Rejected):
            verified(token, SECRET.encode(), "HS256", issuer=ISSUER, audience="spanflow", leeway=30)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"viewer_jwt_secret": "short"}, "SPANFLOW_VIEWER_JWT_SECRET: HS256 needs a secret of at least 32"),
        ({"viewer_jwt_algorithm": "HS512"}, "at least 64"),
        ({"viewer_jwt_algorithm": "none"}, "SPANFLOW_VIEWER_JWT_ALGORITHM: 'none' cannot be used"),
        ({"viewer_jwt_algorithm": "RS256", "viewer_jwt_secret": ""}, "SPANFLOW_VIEWER_JWT_KEY_FILE: RS256 needs"),
        ({"viewer_jwt_key_file": "/x"}, "one of them, not both"),
        ({"viewer_jwt_audience": ""}, "SPANFLOW_VIEWER_JWT_AUDIENCE"),
        ({"viewer_jwt_issuer": ""}, "SPANFLOW_VIEWER_JWT_ISSUER"),
    ],
)
def test_settings_that_leave_something_open_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settled(settings(**changes))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"nonsense", "no public key"),
        (
            RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "holds a private key",
        ),
        (pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "another kind than RS256"),
    ],
)
def test_a_key_file_that_cannot_be_right_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=message) as refused:
        OwnTokens(settings(viewer_jwt_algorithm="RS256", viewer_jwt_secret="", viewer_jwt_key_file=str(path)))
    assert "BEGIN" not in str(refused.value).replace("(-----BEGIN PUBLIC KEY-----)", "")


# -- at a running viewer -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_programs_browsers_and_sockets_come_in_by_a_token_and_go_when_it_ends(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(
        viewer_jwt_issuer=ISSUER,
        viewer_jwt_algorithm="HS256",
        viewer_jwt_secret=SECRET,
        viewer_jwt_leeway=0.0,
    )
    ends = time.time() + 3
    token = jwt.encode(claims(role="monitor", exp=ends), SECRET, "HS256")
    bearer = {"Authorization": f"Bearer {token}"}
    session = "/api/v1/session"
    async with httpx.AsyncClient(base_url=viewer.origin) as browser:
        known = (await browser.get(session, headers=bearer)).json()
        assert (known["name"], known["via"], known["role"], known["user_id"]) == ("7", "jwt", "monitor", 7)
        signed_in = (await browser.post(session, json={"token": token})).json()
        assert (signed_in["via"], signed_in["expires_at"]) == ("session", known["expires_at"])
        async with live(viewer, additional_headers=bearer) as by_header, live(viewer, additional_headers={}) as by_word:
            await by_word.send(type="auth", token=token)
            for client in (by_header, by_word):
                assert (await client.next())["type"] == "hello"
                assert (await client.next(within=10))["code"] == "signed_out"
            assert time.time() >= ends
        assert (await browser.get(session)).status_code == 401
        assert (await browser.get(session, headers=bearer)).status_code == 401
        assert (await browser.post(session, json={"token": token})).json()["code"] == "token_invalid"


@pytest.mark.parametrize("name", ["operator", "Operator", "system", "unknown", "\uff4fperator", " operator "])
def test_nobody_calls_themselves_what_the_viewer_calls_the_access_token(name: str) -> None:
    """The audit log could not tell the two apart."""
    with pytest.raises(Rejected, match="uses itself"):
        clean_name(name)
    assert clean_name("operators") == "operators"


@pytest.mark.anyio
async def test_tokens_without_issuer_or_audience_are_good_when_that_is_said() -> None:
    bare = signed(claims(iss=None, aud=None))
    assert await why(bare, OwnTokens(settings())) == "without a claim that it must have"
    tokens = OwnTokens(settings(viewer_jwt_issuer="", viewer_jwt_unscoped=True))
    assert (await tokens.principal(bare)).user_id == "7"
    assert await why(signed(claims(aud=None)), tokens) == "of another issuer"
    assert await why(signed(claims(iss=None, aud="billing")), tokens) == "meant for another audience"
    assert await why(signed(claims(iss=None, aud=["billing"])), tokens) == "meant for another audience"
    assert await why(signed(claims(iss=None, aud=None, exp=None)), tokens) == "without a claim that it must have"
    assert await why(bare[:-4] + "AAAA", tokens) == "of a wrong signature"
    assert (await tokens.principal(signed(claims(iss=None, aud=["spanflow", "other"])))).user_id == "7"
    named = OwnTokens(settings(viewer_jwt_unscoped=True))
    assert (await named.principal(signed(claims(aud=None)))).user_id == "7"
    assert await why(signed(claims(iss="https://other.example", aud=None)), named) == "of another issuer"


def test_a_viewer_of_unscoped_tokens_lets_their_bearers_in(make_viewer: MakeViewer) -> None:
    viewer = make_viewer(viewer_jwt_unscoped=True, viewer_jwt_algorithm="HS256", viewer_jwt_secret=SECRET)
    bearer = {"Authorization": f"Bearer {signed(claims(iss=None, aud=None))}"}
    assert httpx.get(f"{viewer.origin}/api/v1/monitoring/list", headers=bearer).status_code == 200
