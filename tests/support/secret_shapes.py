"""Secrets as they come: each shape makes a text around a secret that stands nowhere else.

Assembled, so that no scanner takes this file for a leak.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson


@dataclass(frozen=True)
class Secret:
    """A text, and the part of it that nobody may see."""

    text: str
    hidden: str


Shape = Callable[[int], Secret]

_BEGIN: Final = "-----BEGIN PRIVATE " + "KEY-----"
_END: Final = "-----END PRIVATE " + "KEY-----"


def word(number: int) -> str:
    """What is to be hidden: of letters and digits, and there once."""
    return f"Zq{number:05d}xV"


def _around(form: str) -> Shape:
    """`form` with the secret in place of `@@`."""
    return lambda number: Secret(form.replace("@@", word(number)), word(number))


def _card(number: int, group: str) -> str:
    digits = "4" + f"{number:014d}"
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-1::-2]]
    check = -(sum(doubled) + sum(int(digit) for digit in digits[-2::-2])) % 10
    whole = digits + str(check)
    return group.join(whole[start : start + 4] for start in range(0, 16, 4))


def _cards(form: str, group: str) -> Shape:
    return lambda number: Secret(form.replace("@@", _card(number, group)), _card(number, group))


def _json(number: int) -> Secret:
    """A member under a secret name that is an object itself."""
    text = orjson.dumps({"credentials": {"user": "bob", "values": [{"x": word(number)}]}, "a": 1}).decode()
    return Secret(text, word(number))


def _json_in_json(number: int) -> Secret:
    inner = orjson.dumps({"password": f'a"{word(number)}'}).decode()
    return Secret(orjson.dumps({"body": orjson.dumps({"more": inner}).decode()}).decode(), word(number))


def _escaped_name(number: int) -> Secret:
    return Secret('{"p\\u0061ssword": "' + word(number) + '"}', word(number))


SHAPES: Final[dict[str, Shape]] = {
    "assignment": _around("failed: password=@@ for bob"),
    "assignment of a token": _around("token: @@"),
    "secret_key": _around("secret_key=@@"),
    "password_confirmation": _around("a=1&password_confirmation=@@&b=2"),
    "in brackets": _around("password=(a @@)"),
    "of Ruby": _around('{"password"=>"@@", "a"=>"b"}'),
    "JSON": _around('{"password": "@@", "x": 1}'),
    "JSON with an escape": _around('{"password": "a\\"@@", "x": 1}'),
    "JSON inside of a line": _around('sent {"password": "a\\"@@", "x": 1} off'),
    "JSON with its quotes escaped": _around('"{\\"password\\": \\"a\\\\\\"@@\\", \\"x\\": 1}"'),
    "an object under a secret name": _json,
    "JSON in JSON in JSON": _json_in_json,
    "an escaped name": _escaped_name,
    "service account": _around('{"private_key": "' + _BEGIN + "\\nMIIE@@abc\\n" + _END + '\\n", "type": "x"}'),
    "service account in a line": _around('read "private_key": "' + _BEGIN + "\\nMIIE@@abc\\n" + _END + '\\n"'),
    "private key": _around("key " + _BEGIN + "\nMIIE@@abc\n" + _END + " end"),
    "private key without an end": _around("key " + _BEGIN + "\nMIIE@@abc"),
    "Authorization: Bearer": _around("Authorization: Bearer @@abcdef"),
    "Authorization: Token": _around("Authorization: Token @@"),
    "Authorization: Digest": _around('Authorization: Digest username="bob", response="@@"'),
    "bearer alone": _around("sent Bearer @@abcdef on"),
    "first cookie": _around("Cookie: sid=@@; a=1"),
    "later cookie": _around("Cookie: a=1; sid=@@; b=2"),
    "quoted cookie": _around('Cookie: a="1"; sid="@@"; b=2'),
    "Authorization: Hawk": _around('Authorization: Hawk id="bob", mac="@@"'),
    "Set-Cookie": _around("Set-Cookie: a=1; Path=/, sid=@@"),
    "login": _around("postgresql://bob:@@@db/x"),
    "login with an at sign": _around("postgresql://bob:a@@@b@db/x"),
    "token as login": _around("https://@@@host/x"),
    "option": _around("run --password @@ -v"),
    "option with a sign": _around("run --api-key=@@ -v"),
    "element": _around("<a><db:password type='x'>@@</db:password></a>"),
    "encoded query": _around("next=%2Fx%3Ftoken%3D@@"),
    "capitals": _around("DBPASSWORD=@@"),
    "camel case": _around("clientSecret: '@@'"),
    "of Python": _around("{'password': b'@@', 'a': 1}"),
    "web token": _around("jwt ey" + "JhbGciOiJIUzI1NiJ9.ey" + "J@@IiOiIxIn0.c2lnbmF0dXJl"),
    "GitHub": _around("push with ghp" + "_@@" + "a1B2" * 8),
    "OpenAI": _around("sk" + "-proj-@@" + "a1B2" * 5),
    "Slack": _around("xoxb" + "-12345-@@"),
    "Google": _around("AIza" + "@@" + "a1B2" * 7),
    "Hugging Face": _around("hf" + "_@@" + "a1B2" * 6),
    "card": _cards("card @@ ok", " "),
    "card before a full stop": _cards("it was @@.", ""),
    "card with hyphens": _cards("card @@, ok", "-"),
}

#: Names of attributes, of members and of what is assigned to; their values are secrets.
SECRET_NAMES: Final = (
    "password password1 passwords userpassword accesstoken api_keys apiKey clientsecret DBPASSWORD secret_key "
    "password_confirmation db.dbPassword x-api-key http.request.header.authorization set-cookie access_token "
    "private_key"
).split()
