"""Asks the identity provider: bounded in time and size, and never sent elsewhere."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx
import orjson

#: For a whole answer: one that comes byte by byte keeps nobody waiting for longer.
_SECONDS: Final = 5.0
_LARGEST: Final = 1024 * 1024


class ProviderUnavailable(Exception):
    """The identity provider did not answer, or with something that cannot be its answer."""


class ProviderRefused(Exception):
    """It answered with an error; the message is its code, such as `invalid_grant`."""


def client() -> httpx.AsyncClient:
    """Trusts the machine's certificates (`SSL_CERT_FILE` names others) and follows no redirect."""
    # Not compressed: a few kilobytes may unpack to gigabytes before they can be counted.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    return httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False, headers=headers)


async def ask(http: httpx.AsyncClient, method: str, url: str, **options: Any) -> Mapping[str, Any]:
    """The JSON object at an address of the provider."""
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS), http.stream(method, url, **options) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ProviderUnavailable(f"{url} answers compressed, which it was asked not to")
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LARGEST:
                    raise ProviderUnavailable(f"{url} answers more than {_LARGEST} bytes")
    except TimeoutError:
        raise ProviderUnavailable(f"{url} takes longer than {_SECONDS:g} s for its answer") from None
    except (httpx.HTTPError, httpx.InvalidURL) as why:
        raise ProviderUnavailable(f"{url}: {type(why).__name__}") from None
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = None
    if response.status_code in {400, 401, 403} and method == "POST":
        code = answer.get("error") if isinstance(answer, dict) else None
        raise ProviderRefused(code if isinstance(code, str) and code.isascii() else "refused")
    if response.status_code != 200 or not isinstance(answer, dict):
        raise ProviderUnavailable(f"{url} answers {response.status_code}, or no JSON object")
    return answer
