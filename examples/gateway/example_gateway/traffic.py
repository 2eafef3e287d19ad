"""Traffic for the example gateway: `python -m example_gateway.traffic http://127.0.0.1:8000`.

Several people ask, chat and call tools at the same time. The same seed gives the same questions in the same order for
each of them.
"""

import argparse
import asyncio
import json
import logging
import sys
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from example_gateway.people import PEOPLE, WEIGHTS, Person
from example_gateway.questions import question

_LOG: Final = logging.getLogger(__name__)
#: What each kind of visitor is chosen by.
_WAYS: Final = {"ask": 6, "chat": 3, "mcp": 2, "impatient": 2, "stranger": 1}
_TIMEOUT: Final = 60.0
#: Lively at first, so that there is something to see at once; then calmer, so that charts still show the days before.
_CALMER: Final = 6
_CALM: Final = 5


@dataclass
class Traffic:
    """Visits the gateway until `requests` have been made, or for ever when it is 0."""

    url: str
    seed: int = 1
    requests: int = 0
    visitors: int = 2
    #: Seconds that a visitor thinks between two visits.
    pause: float = 5.0
    seen: Counter[str] = field(default_factory=Counter)
    _left: int = 0

    async def run(self) -> Counter[str]:
        """Make the visits; what came of them is counted by outcome."""
        self._left = self.requests
        limits = httpx2.Limits(max_connections=self.visitors + 1)
        async with httpx2.AsyncClient(base_url=self.url, timeout=_TIMEOUT, limits=limits) as http:
            await asyncio.gather(*(self._visit(number, http) for number in range(self.visitors)))
        return self.seen

    async def _visit(self, number: int, http: httpx2.AsyncClient) -> None:
        random = Random(f"{self.seed} {number}")
        visits = 0
        while self._take():
            person = random.choices(PEOPLE, WEIGHTS)[0]
            way = random.choices(list(_WAYS), list(_WAYS.values()))[0]
            try:
                outcome = await self._go(way, person, random, http)
            except (httpx2.HTTPError, OSError, ConnectionClosed, ExceptionGroup) as error:
                # The gateway is being restarted, say. Traffic goes on.
                _LOG.info("%s: %s", way, error)
                outcome = "unreachable"
            self.seen[f"{way}: {outcome}"] += 1
            visits += 1
            await asyncio.sleep(random.uniform(0.3, 1.7) * self.pause * (1 + min(visits / _CALMER, _CALM)))

    def _take(self) -> bool:
        if self.requests and self._left <= 0:
            return False
        self._left -= 1
        return True

    async def _go(self, way: str, person: Person, random: Random, http: httpx2.AsyncClient) -> str:
        if way == "chat":
            return await self._chat(person, random)
        if way == "mcp":
            return await self._call_tool(person, random)
        token = "nobody" if way == "stranger" else person.token
        return await self._ask(token, random, http, gives_up=way == "impatient")

    async def _ask(self, token: str, random: Random, http: httpx2.AsyncClient, *, gives_up: bool) -> str:
        """A few questions of one conversation. An impatient visitor closes the connection after a few words."""
        conversation = f"web-{random.getrandbits(48):012x}"
        headers = {"authorization": f"Bearer {token}", "x-session-id": f"s-{random.getrandbits(48):012x}"}
        for turn in range(1 if gives_up else random.choice((1, 1, 2, 3))):
            if turn:
                await asyncio.sleep(random.uniform(0.2, 0.8) * self.pause)
            body = {"message": question(random), "conversation_id": conversation}
            outcome = await self._answer(body, headers, http, gives_up=gives_up)
        return outcome

    async def _answer(
        self, body: dict[str, str], headers: dict[str, str], http: httpx2.AsyncClient, *, gives_up: bool
    ) -> str:
        pieces = 0
        async with http.stream("POST", "/api/v1/ask/stream", json=body, headers=headers) as response:
            if response.status_code != httpx2.codes.OK:
                await response.aread()
                return str(response.status_code)
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                pieces += 1
                kind = json.loads(line.removeprefix("data: "))["type"]
                if gives_up and pieces >= 3:
                    return "gave up"
                if kind in {"done", "error"}:
                    return str(kind)
        return "cut off"

    async def _chat(self, person: Person, random: Random) -> str:
        """Several turns on one connection; the last question is sometimes not waited for."""
        address = self.url.replace("http", "ws", 1) + "/api/v1/chat"
        headers = {"authorization": f"Bearer {person.token}", "x-session-id": f"c-{random.getrandbits(48):012x}"}
        turns = random.randint(1, 4)
        async with connect(address, additional_headers=headers, open_timeout=_TIMEOUT) as socket:
            for turn in range(turns):
                await socket.send(json.dumps({"message": question(random)}))
                if turn == turns - 1 and random.random() < 0.2:
                    return "left"
                kind = await _end_of_turn(socket)
                await asyncio.sleep(random.uniform(0.1, 0.6) * self.pause)
        return kind

    async def _call_tool(self, person: Person, random: Random) -> str:
        """A program that uses the gateway as an MCP server."""
        tool, arguments = random.choice(
            (
                ("get_job_status", {"job_id": f"j{random.randint(1, 99)}"}),
                ("list_snapshots", {"project": random.choice(("apollo", "gemini"))}),
                ("restart_service", {"service": "cache"}),
                ("read_record", {"record": f"r{random.randint(1, 9)}"}),
            )
        )
        headers = {"authorization": f"Bearer {person.token}", "x-session-id": f"m-{random.getrandbits(48):012x}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=_TIMEOUT) as http,
            Client(streamable_http_client(f"{self.url}/mcp/", http_client=http)) as client,
        ):
            result = await client.call_tool(tool, dict(arguments))
            return "error" if result.is_error else "done"


async def _end_of_turn(socket: Any) -> str:
    while True:
        kind = str(json.loads(await socket.recv())["type"])
        if kind in {"done", "error", "refused"}:
            return kind


def main() -> int:
    parser = argparse.ArgumentParser(description="Traffic for the example gateway.")
    parser.add_argument("url", help="where the gateway answers, such as http://127.0.0.1:8000")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same questions")
    parser.add_argument("--requests", type=int, default=0, help="stop after this many visits (0: go on until stopped)")
    parser.add_argument("--visitors", type=int, default=2, help="visitors at the same time")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds that a visitor thinks between two visits")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    traffic = Traffic(chosen.url.rstrip("/"), chosen.seed, chosen.requests, chosen.visitors, chosen.pause)
    try:
        asyncio.run(traffic.run())
    except KeyboardInterrupt:
        pass
    for outcome, count in sorted(traffic.seen.items()):
        sys.stdout.write(f"{count:6}  {outcome}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
