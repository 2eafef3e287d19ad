"""Talks to a viewer over HTTP, with nothing but the standard library: also a bare install can ask."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from spanflow.cli.problem import Problem

_PATIENCE: Final = 20.0
#: A stream is never silent for so long: the viewer says every few seconds that it is still there.
_SILENCE: Final = 60.0
_PIECE: Final = 64 * 1024
_MOST_ERROR: Final = 64 * 1024

Params = Mapping[str, str | int | None | Sequence[str]]


class Unreachable(Problem):
    """No answer, or it broke off."""


class Refused(Problem):
    """The viewer said no, and why."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code

    @property
    def passing(self) -> bool:
        """Whether the same may work a little later."""
        return self.status in {429, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Message:
    """One event of a stream. `id` is where to go on from, when it has one."""

    id: str | None
    data: dict[str, Any]


class ViewerClient:
    """One viewer, or several behind one address."""

    def __init__(self, url: str, token: str, patience: float = _PATIENCE) -> None:
        self.url = url.rstrip("/")
        self._parts = urlsplit(self.url)
        self._token = token
        self._patience = patience

    def get(self, path: str, params: Params | None = None, *, reason: str | None = None) -> Any:
        return self._ask("GET", path, params, headers=_stated(reason))

    def post(self, path: str, body: Any) -> Any:
        return self._ask("POST", path, None, body)

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, None, body)

    def upload(self, path: str, body: bytes, content_type: str) -> Any:
        return self._ask("POST", path, None, body, headers={"Content-Type": content_type}, patience=_SILENCE)

    def delete(self, path: str, *, reason: str | None = None, patience: float | None = None) -> Any:
        return self._ask("DELETE", path, None, headers=_stated(reason), patience=patience)

    def stream(self, path: str, params: Params, last_id: str | None, reason: str | None) -> Iterator[Message]:
        """Server-sent events until the viewer ends them; `Unreachable` when the line breaks."""
        headers = {"Accept": "text/event-stream", **_stated(reason)}
        if last_id:
            headers["Last-Event-ID"] = last_id
        with self._answer("GET", path, params, None, headers, _SILENCE) as response:
            yield from _events(self._lines(response))

    def download(self, path: str, params: Params, *, reason: str | None = None) -> Iterator[bytes]:
        """The answer as it comes; `Unreachable` when it breaks off."""
        with self._answer("GET", path, params, None, _stated(reason), _SILENCE) as response:
            try:
                while piece := response.read1(_PIECE):
                    yield piece
            except (OSError, HTTPException):
                raise Unreachable(
                    f"the viewer at {self.url} broke off: what it sent until then is incomplete."
                ) from None

    def _ask(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        patience: float | None = None,
    ) -> Any:
        with self._answer(method, path, params, body, headers or {}, patience or self._patience) as response:
            try:
                return json.loads(response.read())
            except ValueError:
                raise Unreachable(f"what answers at {self.url} is no viewer.") from None
            except (OSError, HTTPException) as why:
                raise self._away(why) from None

    @contextmanager
    def _answer(
        self, method: str, path: str, params: Params | None, body: Any, headers: Mapping[str, str], patience: float
    ) -> Iterator[HTTPResponse]:
        query = urlencode([(name, value) for name, value in (params or {}).items() if value is not None], doseq=True)
        target = f"{self._parts.path}{path}" + (f"?{query}" if query else "")
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        assert self._parts.hostname is not None
        with closing(kind(self._parts.hostname, self._parts.port, timeout=patience)) as connection:
            try:
                data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
                connection.request(method, target, data, {**self._headers(data is not None), **headers})
                response = connection.getresponse()
            except (OSError, HTTPException) as why:
                raise self._away(why) from None
            if response.status != 200:
                raise self._refused(response)
            yield response

    def _headers(self, has_body: bool) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "spanflow"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if has_body:
            headers["Content-Type"] = "application/json"
        return headers

    def _lines(self, response: HTTPResponse) -> Iterator[str]:
        try:
            while raw := response.readline():
                yield raw.decode("utf-8", "replace").rstrip("\r\n")
        except (OSError, HTTPException) as why:
            raise self._away(why) from None

    def _away(self, why: Exception) -> Unreachable:
        text = getattr(why, "strerror", None) or str(why) or type(why).__name__
        return Unreachable(
            f"the viewer at {self.url} cannot be reached: {text}. Is it running (`spanflow serve`, `spanflow up`)? "
            "Name another with --url or SPANFLOW_URL."
        )

    def _refused(self, response: HTTPResponse) -> Problem:
        try:
            problem = json.loads(response.read(_MOST_ERROR))
            code, detail = str(problem["code"]), str(problem["detail"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            return Refused(response.status, "", f"{self.url} answered with status {response.status} {response.reason}.")
        if response.status == 401:
            how = "its token is not accepted" if self._token else "it needs an access token"
            detail = (
                f"not signed in to {self.url}: {how}. Set SPANFLOW_TOKEN, or SPANFLOW_TOKEN_FILE to a file with it."
            )
        return Refused(response.status, code, detail)


def _stated(reason: str | None) -> dict[str, str]:
    # Headers are bytes; the viewer reads these as UTF-8.
    return {"X-Spanflow-Reason": " ".join(reason.split()).encode().decode("latin-1")} if reason else {}


def _events(lines: Iterator[str]) -> Iterator[Message]:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html, as much of it as viewers use."""
    id: str | None = None
    data: list[str] = []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            id = value
        elif field == "data":
            data.append(value)
        elif not line and data:
            try:
                message = json.loads("\n".join(data))
            except ValueError:
                message = None
            if isinstance(message, dict):
                yield Message(id, message)
            id, data = None, []
