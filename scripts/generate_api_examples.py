"""Send the requests of the API's pages to a real viewer, and write down what it answers: on the pages and, for the
OpenAPI document, in viewer_api/openapi_examples.json. Run from the checkout: python -m scripts.generate_api_examples
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from spanflow.migrations.run import upgrade
from spanflow.viewer_api import openapi
from spanflow.viewer_api.app import api_routes
from tests.support import child
from tests.support.api_examples import as_shown, collected, normalised
from tests.support.api_page import EXAMPLE, PAGES, Example, answered, fill, is_about
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.viewer_server import running_viewer

FILE = Path(openapi.__file__).with_name(openapi.EXAMPLES)
WIDTH = 150


def main() -> int:
    now = datetime.now(UTC)
    answers = answered_by_a_viewer()
    found = collected(api_routes(), answers, now)
    FILE.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {FILE.name}: {len(answers)} answers of {len(found)} routes\n")
    waiting = iter(answers)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        renewed = renewed_page(text, waiting, now)
        if renewed != text:
            page.write_text(renewed, encoding="utf-8")
            sys.stdout.write(f"wrote docs/{page.name}\n")
    return 0


def answered_by_a_viewer() -> list[tuple[Example, httpx.Response]]:
    with tempfile.TemporaryDirectory(prefix="spanflow-examples-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        child.give_to_server(path)
        for name in ("redis", "postgres"):
            (path / name).mkdir()
        redis = RedisServer(path / "redis").start()
        postgres = PostgresServer(path / "postgres").start()
        try:
            upgrade(postgres.dsn())
            with running_viewer(postgres.dsn(), redis.url, path / "viewer") as viewer:
                fill(postgres.dsn(), path / "archive")
                return list(answered(viewer.http))
        finally:
            postgres.stop()
            redis.stop()


def renewed_page(page: str, waiting: Iterator[tuple[Example, httpx.Response]], now: datetime) -> str:
    """The page with today's answers, as many as it has requests; what it leaves out stays left out."""

    def renewed(match: re.Match[str]) -> str:
        example, response = next(waiting)
        assert is_about(match, example)
        if example.answer is None or not response.content:
            return match[0]
        answer = as_shown(normalised(response.json(), now), example.answer)
        if answer == example.answer:
            return match[0]
        return match[0][: match.start("answer") - match.start()] + wrapped(answer) + "\n```"

    return EXAMPLE.sub(renewed, page)


def wrapped(value: Any) -> str:
    """JSON in lines that fit the page, broken between members."""
    pieces = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^",])+,?\s*', json.dumps(value, ensure_ascii=False))
    lines = [""]
    for piece in pieces:
        if lines[-1].strip() and len(lines[-1]) + len(piece.rstrip()) > WIDTH:
            lines.append("  ")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
