"""`make bench-million`: what every question of the history reads among a million flows.

A PostgreSQL of its own is filled by itself, then asked each question under EXPLAIN ANALYZE. Ends with an error when one
reads a table from beginning to end, or looks at more rows than it may: how many that is stands with the questions, in
`history_searches` and `history_people`, and the tests hold the same questions to it with fewer flows.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.history_flows import fill
from benchmarks.history_people import CONVERSATIONS, PEOPLE, lists_of_conversations, page_of_person, people_found
from benchmarks.history_plans import Answer, faults
from benchmarks.history_searches import searches
from benchmarks.report import table
from spanflow.migrations.run import upgrade
from spanflow.viewer_api.store.search_plan import Order
from tests.support.plans import explained
from tests.support.postgres_server import PostgresServer
from tests.support.query import script

#: The busiest of those in `history_flows`, and one of many who are seldom there.
PERSONS = ("1", "500")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million_flows", description=__doc__)
    parser.add_argument("--flows", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    # The server ends with us on SIGTERM too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    conversations, people = options.flows // 8, options.flows // 10
    with filled(options.flows, conversations, people) as dsn:
        _say("asking")
        answers = asyncio.run(_answers(dsn, conversations, people))
    wrong = faults(answers)
    rows = [[answer.question, answer.rows, answer.allowed, answer.milliseconds] for answer in answers]
    sys.stdout.write(table(["question", "rows looked at", "allowed", "ms"], rows) + "\n\n")
    most, slowest = max(answers, key=lambda one: one.rows), max(answers, key=lambda one: one.milliseconds)
    sys.stdout.write(
        f"{len(answers)} questions among {options.flows:,} flows, {conversations:,} conversations, {people:,} people. "
        f"The most rows: {most.rows:,} ({most.question}). The slowest: {slowest.milliseconds:.0f} ms "
        f"({slowest.question}).\n"
    )
    for question, why in wrong.items():
        sys.stdout.write(f"{question}: {why}\n")
    if wrong:
        sys.exit(1)


@contextmanager
def filled(flows: int, conversations: int, people: int) -> Iterator[str]:
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="spanflow-bench-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        directory.chmod(0o755)
        server = PostgresServer(directory).start()
        stack.callback(server.kill)
        dsn = server.dsn()
        upgrade(dsn, "omni2")
        _say(f"making {flows:,} flows")
        made = asyncio.run(fill(dsn, flows))
        _say(f"made in {made['seconds']:.0f} s, {made['bytes'] / 2**30:.1f} GiB; making conversations and people")
        script(dsn, CONVERSATIONS.format(rows=conversations))
        script(dsn, PEOPLE.format(rows=people))
        yield dsn


async def _answers(dsn: str, conversations: int, people: int) -> list[Answer]:
    found = await searches(dsn, *Order)
    async with explained(dsn) as database:
        for person in PERSONS:
            found += await page_of_person(database, person, "c7")
        found += await lists_of_conversations(database, conversations)
    return found + await people_found(dsn, people)


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


if __name__ == "__main__":
    main()
