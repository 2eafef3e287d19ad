"""A small OpenID Connect provider, a process of its own: real HTTP, real keys, and ways to misbehave.

`python -m tests.support.identity_provider` prints its address. Whoever comes to `/authorize` is signed in at once as
the person that `POST /control` says. `identity_provider()` starts it for a test.
"""

import base64
import contextlib
import gzip
import hashlib
import hmac
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT_ID = "spanflow-viewer"
CLIENT_SECRET = "a-client-secret-for-tests+/="

State = dict[str, Any]


@dataclass
class Key:
    name: str
    private: rsa.RSAPrivateKey

    def published(self) -> State:
        public: State = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.name, "use": "sig", "alg": "RS256"}


ATTACKER = Key("attacker", rsa.generate_private_key(65537, 2048))
SYMMETRIC = b"a-secret-that-everybody-can-read-0123456789"


def signed_with_secret(claims: State, secret: bytes, key_id: str) -> str:
    parts = [{"alg": "HS256", "typ": "JWT", "kid": key_id}, claims]
    head = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = hmac.new(secret, head, hashlib.sha256).digest()
    return f"{head.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class Provider:
    """What it knows. `claims` are those of the person who signs in; `faults` are what it does wrong."""

    def __init__(self) -> None:
        self.issuer = ""
        self.claims: State = {"sub": "7", "email": "ada@example.org"}
        self.userinfo: State = {}
        self.faults: set[str] = set()
        self.keys: list[Key] = []
        self.codes: dict[str, State] = {}
        self.seen: dict[str, int] = {}
        self.first: str | None = None
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key from now on, and forget all others."""
        self.keys = [Key(secrets.token_hex(4), rsa.generate_private_key(65537, 2048))]

    def signed(self, **claims: Any) -> str:
        now = int(time.time())
        whole = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **claims}
        key = self.keys[0]
        return jwt.encode(whole, key.private, "RS256", headers={"kid": key.name})

    def forged(self, claims: State) -> str:
        """An ID token, with what the faults do to it."""
        key = self.keys[0]
        now = int(time.time())
        changes: dict[str, State] = {
            "other issuer": {"iss": "https://other.example"},
            "no nonce": {"nonce": None},
            "nonce of another kind": {"nonce": [claims["nonce"]]},
            "no subject": {"sub": None},
            "expired": {"exp": now - 3600},
            "without an end": {"exp": None},
            "an end that is no number": {"exp": "tomorrow"},
            "an end beyond all time": {"exp": 10**400},
            "not valid yet": {"nbf": now + 3600},
        }
        for fault in self.faults:
            claims = {**claims, **changes.get(fault, {})}
        token = self.signed(**{name: value for name, value in claims.items() if value is not None or name != "exp"})
        whole = jwt.decode(token, options={"verify_signature": False})
        if "without an end" in self.faults:
            del whole["exp"]
            token = jwt.encode(whole, key.private, "RS256", headers={"kid": key.name})
        if "signature" in self.faults:
            token = jwt.encode(whole, "", algorithm="none")
        if "public key as secret" in self.faults:
            # PyJWT refuses to make such a token; attackers have other libraries.
            public = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            token = signed_with_secret(whole, public, key.name)
        if "published secret" in self.faults:
            token = signed_with_secret(whole, SYMMETRIC, "symmetric")
        if "key of an attacker" in self.faults:
            token = jwt.encode(whole, ATTACKER.private, "RS256", headers={"kid": key.name})
        if "key in the token" in self.faults:
            told = {"kid": "attacker", "jwk": ATTACKER.published(), "jku": f"{self.issuer}/evil", "x5u": self.issuer}
            token = jwt.encode(whole, ATTACKER.private, "RS256", headers=told)
        return token

    def published(self) -> list[Any]:
        keys: list[Any] = [key.published() for key in self.keys]
        if "published secret" in self.faults:
            secret = base64.urlsafe_b64encode(SYMMETRIC).rstrip(b"=").decode()
            keys.append({"kty": "oct", "kid": "symmetric", "use": "sig", "alg": "HS256", "k": secret})
        if "odd keys" in self.faults:
            odd: list[Any] = [None, 7, [], "key", {}, {"kty": "RSA"}, {"kty": "RSA", "kid": [], "n": 1, "e": {}}]
            keys = [*odd, *keys]
        if "very many keys" in self.faults:
            keys += [{**keys[0], "kid": f"k{number}"} for number in range(1000)]
        return keys

    def discovery(self) -> State:
        return {
            "issuer": "https://other.example" if "issuer" in self.faults else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def authorized(self, query: State) -> str:
        """Where the browser is sent back to."""
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        issuer = "https://other.example" if "iss" in self.faults else self.issuer
        answer = {"code": code, "state": query["state"], "iss": issuer}
        if "denied" in self.faults:
            answer = {"error": "access_denied", "state": query["state"], "iss": issuer}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def tokens(self, form: State, authorization: str) -> tuple[int, State]:
        kind, _, credentials = authorization.partition(" ")
        user, _, password = base64.b64decode(credentials).decode().partition(":")
        if kind != "Basic" or (unquote(user), unquote(password)) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form["code"], None)
        if asked is None or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        hashed = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if hashed.rstrip(b"=").decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        claims = {**self.claims, "nonce": "another" if "nonce" in self.faults else asked["nonce"]}
        if "audience" in self.faults:
            claims["aud"] = "another-client"
        if "azp" in self.faults:
            claims |= {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"}
        id_token = self.forged(claims)
        if "replayed" in self.faults:
            self.first = id_token = self.first or id_token
        return 200, {"id_token": id_token, "access_token": self.signed(**self.claims), "token_type": "Bearer"}

    def control(self, wanted: State) -> State:
        for name in ("claims", "userinfo"):
            if name in wanted:
                setattr(self, name, wanted[name])
        if "faults" in wanted:
            self.faults = set(wanted["faults"])
        if wanted.get("rotate"):
            self.rotate()
        signed = self.signed(**{**self.claims, **wanted["sign"]}) if "sign" in wanted else None
        return {"seen": self.seen, "signed": signed}


class Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self._count(parts.path)
        if "away" in self.provider.faults:
            self._answer(503, {})
        elif self._misbehaves(parts.path):
            pass
        elif parts.path == "/.well-known/openid-configuration":
            self._answer(200, self.provider.discovery())
        elif parts.path == "/jwks":
            self._answer(200, {"keys": self.provider.published()})
        elif parts.path == "/authorize":
            location = self.provider.authorized(dict(parse_qsl(parts.query)))
            self.send_response(302)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif parts.path == "/userinfo" and self.headers.get("Authorization", "").startswith("Bearer ey"):
            self._answer(200, {"sub": self.provider.claims["sub"], **self.provider.userinfo})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        self._count(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/control":
            self._answer(200, self.provider.control(json.loads(body)))
        elif self._misbehaves(self.path):
            pass
        elif self.path == "/token" and "away" not in self.provider.faults:
            self._answer(*self.provider.tokens(dict(parse_qsl(body)), self.headers.get("Authorization", "")))
        else:
            self._answer(503, {})

    def _misbehaves(self, path: str) -> bool:
        """Whether a fault that names this path was carried out."""
        faults = self.provider.faults
        if f"huge {path}" in faults:
            self._answer(200, {"filler": "x" * 2_000_000})
        elif f"bomb {path}" in faults:
            self._send(200, gzip.compress(b'{"filler": "' + b"x" * 50_000_000 + b'"}'), {"Content-Encoding": "gzip"})
        elif f"slow {path}" in faults:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while f"slow {path}" in self.provider.faults:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
        elif f"elsewhere {path}" in faults:
            self._send(307, b"", {"Location": f"{self.provider.issuer}/evil"})
        else:
            return False
        return True

    def _count(self, path: str) -> None:
        self.provider.seen[path] = self.provider.seen.get(path, 0) + 1

    def _answer(self, status: int, data: State) -> None:
        self._send(status, json.dumps(data).encode(), {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # whoever asked had enough
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class IdentityProvider:
    """A test's end of the running provider."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def becomes(self, **wanted: Any) -> State:
        """Change what it does; its counts and, for `sign`, a token of its own."""
        answer = httpx.post(f"{self.issuer}/control", json=wanted)
        assert answer.status_code == 200
        found: State = answer.json()
        return found

    def signed(self, **claims: Any) -> str:
        """A token of the person, with changed claims."""
        return str(self.becomes(sign=claims)["signed"])

    def seen(self, path: str) -> int:
        return int(self.becomes()["seen"].get(path, 0))

    @property
    def settings(self) -> State:
        return {
            "viewer_oidc_issuer": self.issuer,
            "viewer_oidc_client_id": CLIENT_ID,
            "viewer_oidc_client_secret": CLIENT_SECRET,
        }


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.identity_provider"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the identity provider did not start"
        yield IdentityProvider(address)
    finally:
        process.terminate()
        process.communicate(timeout=10)


def main() -> None:
    provider = Provider()
    handler = type("ProviderHandler", (Handler,), {"provider": provider})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    sys.stdout.write(provider.issuer + "\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
