"""Commands and replies of Redis: the same in Python and in the native core, and whatever is sent instead is bounded."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import hiredis
import pytest
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from spanflow.span_processors import native
from spanflow.span_processors.native import NativeCore
from spanflow.span_processors.redis.mirror_items import END, START, UPDATE, Archived, MirrorItem, StreamEntry
from spanflow.span_processors.redis.native_resp import NativeCommands, NativeReplies
from spanflow.span_processors.redis.redis_link import RedisLink, link_to
from spanflow.span_processors.redis.resp_commands import RawCommands
from spanflow.span_processors.redis.resp_replies import MAX_LINE, ProtocolError, RawReplies
from spanflow.span_processors.redis.stream_state import StreamState
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.stages.sink import Unavailable
from tests.support import fuzzing
from tests.support.native_core import core, needs_core

EXAMPLES = fuzzing.examples(300, 5000)
#: Makes what reads replies, by how many there are to be.
MakeReplies = Callable[[int], Any]
in_both = pytest.mark.parametrize("mode", ["off", pytest.param("require", marks=needs_core)])


def replies_in(mode: str) -> MakeReplies:
    return RawReplies if mode == "off" else lambda wanted: NativeReplies(core(), wanted)


def commands_in(mode: str) -> RawCommands:
    return RawCommands() if mode == "off" else NativeCommands(core())


def read(make: MakeReplies, wanted: int, chunks: list[bytes]) -> Any:
    """What becomes of bytes: the replies, None while some are missing, or what is wrong."""
    replies = make(wanted)
    try:
        if not any(replies.feed(chunk) for chunk in chunks):
            return None
    except ProtocolError as why:
        return str(why)
    assert len(replies) == wanted
    return replies.all_well, [comparable(reply) for reply in replies]


def comparable(reply: Any) -> Any:
    if isinstance(reply, list):
        return [comparable(item) for item in reply]
    return (type(reply), str(reply)) if isinstance(reply, Exception) else (type(reply), reply)


# -- replies -----------------------------------------------------------------------------------------------------------

#: What comes of one reply.
VECTORS = {
    b"$3\r\n1-0\r\n": b"1-0",
    b"$0\r\n\r\n": b"",
    b"$4\r\na\r\nb\r\n": b"a\r\nb",
    b"$70\r\n" + b"x" * 70 + b"\r\n": b"x" * 70,
    b"$-1\r\n": None,
    b"*-1\r\n": None,
    b"*0\r\n": [],
    b":0\r\n": 0,
    b":-9223372036854775808\r\n": -(2**63),
    b":007\r\n": 7,
    b"+OK\r\n": b"OK",
    b"+\r\n": b"",
    b"+a\rb\r\n": b"a\rb",
    b"*2\r\n$10\r\n1700000000\r\n*2\r\n*-1\r\n:1\r\n": [b"1700000000", [None, 1]],
    b"*1\r\n*1\r\n*1\r\n*1\r\n$1\r\nx\r\n": [[[[b"x"]]]],
}


@in_both
@pytest.mark.parametrize("written", VECTORS)
def test_a_reply_is_read_in_whatever_pieces_it_comes(mode: str, written: bytes) -> None:
    value = VECTORS[written]
    for size in (1, 2, 5, 1000):
        replies = replies_in(mode)(2)
        chunks = [written[at : at + size] for at in range(0, len(written), size)]
        assert [replies.feed(chunk) for chunk in chunks] == [False] * len(chunks)
        assert replies.feed(b"+OK\r\n")
        assert list(replies) == [value, b"OK"]
        assert replies.all_well is (value is not None and type(value) is not list)


@in_both
def test_an_error_is_an_exception_in_its_place(mode: str) -> None:
    replies = replies_in(mode)(3)
    assert replies.feed(b"+OK\r\n-WRONGTYPE of \xff key\r\n*1\r\n-ERR within\r\n")
    assert not replies.all_well
    said = replies[1]
    assert type(said) is ResponseError
    assert str(said) == "WRONGTYPE of \ufffd key"
    assert type(replies[2][0]) is ResponseError
    assert len(replies) == 3


#: What Redis never sends as the replies to two commands, and what is said of it.
HOSTILE = {
    "a push of RESP3": (b">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n", "a reply of an unknown type"),
    "a map of RESP3": (b"%1\r\n+a\r\n+b\r\n", "a reply of an unknown type"),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n", "a reply of an unknown type"),
    "a huge text": (b"$4000000000\r\n", "more than any reply to these commands takes"),
    "a huge array": (b"*4294967295\r\n", "more than any reply to these commands takes"),
    "a length beyond all": (b"$99999999999999999999\r\n", "something else where a number belongs"),
    "a negative length": (b"$-2\r\n", "something else where a number belongs"),
    "a length with a sign": (b"$+3\r\nabc\r\n", "something else where a number belongs"),
    "a number that is none": (b":1_0\r\n", "something else where a number belongs"),
    "a number of more than 64 bits": (b":9223372036854775808\r\n", "something else where a number belongs"),
    "a text that is longer": (b"$3\r\nabcd\r\n", "a text that does not end where it says"),
    "deep arrays": (b"*1\r\n" * 5 + b":1\r\n", "arrays that are nested too deeply"),
    "a status without end": (b"+" * (MAX_LINE + 2), "a line that is too long"),
    "an error without end": (b"-" * (MAX_LINE + 2), "a line that is too long"),
    "a long number": (b":" + b"1" * MAX_LINE + b"\r\n", "a line that is too long"),
    "a wide array": (b"*60000\r\n" + b":1\r\n" * 20_000, "more than any reply to these commands takes"),
    "one reply too many": (b"+OK\r\n+OK\r\n+OK\r\n", "more replies than it had got commands"),
}


@in_both
@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_reply_is_refused(mode: str, what: str) -> None:
    sent, problem = HOSTILE[what]
    for size in (4096, len(sent)):
        chunks = [sent[at : at + size] for at in range(0, len(sent), size)]
        assert read(replies_in(mode), 2, chunks) == f"Redis sent {problem}"


def in_pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        if not data:
            break
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data] if data else chunks


def written(reply: Any) -> bytes:
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if isinstance(reply, str):
        return reply.encode() + b"\r\n"
    return b"*%d\r\n" % len(reply) + b"".join(map(written, reply))


texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)
leaves = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=90),
    st.builds("{}{}".format, st.sampled_from("+-"), texts),
)
#: Three arrays at most are within each other.
well_formed = leaves | st.lists(leaves | st.lists(leaves | st.lists(leaves, max_size=3), max_size=3), max_size=4)
pieces = st.lists(st.integers(1, 40), max_size=30)
words = st.sampled_from(
    [
        b"$3\r\n1-0\r\n",
        b"$15\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"*2\r\n",
        b"*-1\r\n",
        b"$-1\r\n",
        b":1\r\n",
        b"+OK\r\n",
        b"-ERR\r\n",
    ]
    + [b">2\r\n", b"*1\r\n", b"$0\r\n\r\n", b"$99999\r\n", b":", b"$", b"-", b"0", b"1", b"x", b"\xff"]
)


@pytest.mark.parametrize("mode", ["off", pytest.param("require", marks=needs_core)])
@EXAMPLES
def test_replies_are_those_that_hiredis_reads(mode: str, examples: int) -> None:
    """An independent reader of the same bytes."""

    def attack(sent: list[Any], sizes: list[int]) -> None:
        data = b"".join(map(written, sent))
        reader = hiredis.Reader(replyError=ResponseError, errors="replace")
        reader.feed(data)
        expected = [reader.gets() for _ in sent]
        assert read(replies_in(mode), len(sent), in_pieces(data, sizes)) == (
            {type(reply) for reply in expected} <= {bytes, int},
            [comparable(reply) for reply in expected],
        )

    fuzzing.fuzz(examples, {"sent": st.lists(well_formed, min_size=1, max_size=6), "sizes": pieces}, attack)


@needs_core
@EXAMPLES
def test_both_read_the_same_of_whatever_is_sent(examples: int) -> None:
    outcomes: set[Any] = set()

    def attack(sent: list[bytes], sizes: list[int], wanted: int) -> None:
        chunks = in_pieces(b"".join(sent), sizes)
        outcome = read(replies_in("off"), wanted, chunks)
        outcomes.add(outcome if isinstance(outcome, str) else type(outcome))
        assert read(replies_in("require"), wanted, chunks) == outcome

    hostile = st.lists(words | st.binary(max_size=6) | well_formed.map(written), max_size=8)
    fuzzing.fuzz(examples, {"sent": hostile, "sizes": pieces, "wanted": st.integers(1, 5)}, attack)
    # Of each kind there was some: replies, not enough of them yet, and what Redis would never send.
    assert {tuple, type(None)} < outcomes, outcomes


# -- commands ----------------------------------------------------------------------------------------------------------


@in_both
def test_commands_are_written_as_redis_reads_them(mode: str) -> None:
    commands = commands_in(mode)
    stream = StreamState("f" * 32, 10_000)
    commands.add_event(stream, b'{"n":1}')
    stream.created = True
    commands.add_event(stream, b"")
    commands.add(b"ZADD", b"flows:open", b"1.5", b"\r\n")
    commands.publish(b"flow_bell:7", b"f")
    head = b"$4\r\nXADD\r\n$39\r\nflow:{ffffffffffffffffffffffffffffffff}\r\n"
    tail = b"$6\r\nMAXLEN\r\n$1\r\n~\r\n$5\r\n10000\r\n$1\r\n*\r\n$1\r\ne\r\n"
    assert commands.parts == [
        b"*8\r\n%b%b$7\r\n%b\r\n" % (head, tail, b'{"n":1}'),
        b"*9\r\n%b$10\r\nNOMKSTREAM\r\n%b$0\r\n\r\n" % (head, tail),
        b"*4\r\n$4\r\nZADD\r\n$10\r\nflows:open\r\n$3\r\n1.5\r\n$2\r\n\r\n\r\n",
        b"*3\r\n$7\r\nPUBLISH\r\n$11\r\nflow_bell:7\r\n$1\r\nf\r\n",
    ]
    assert commands.number == 4


USERS = ("7", None, None)


def stream_of(number: int, how: int) -> StreamState:
    """A stream in one of its states."""
    stream = StreamState(f"{number:032x}", 100)
    stream.touched_at = 0.0 if how & 1 else 1e9
    stream.users = USERS
    stream.indexed = (None, "s", None) if how & 2 else USERS if how & 4 else ("".join("7"), None, None)
    stream.created = bool(how & 8)
    if how & 16:
        stream.refuse_start(1)
    if how & 32:
        stream.command()
    return stream


items = st.tuples(
    st.integers(0, 3),
    st.sampled_from([START, UPDATE, END, END]),
    st.integers(0, 2),
    st.binary(max_size=20),
    st.booleans(),
)
batches = st.lists(st.one_of(items, items, items, st.none()), max_size=12)


def written_of(mode: str, states: list[int], batch: list[Any]) -> tuple[bytes, int, list[int]]:
    """A batch as the mirror writes it, and the places of what was written apart."""
    streams = [stream_of(number, how) for number, how in enumerate(states)]
    batched: list[MirrorItem] = [
        Archived("f")
        if one is None
        else StreamEntry(streams[one[0]], one[1], one[2], one[3], b"whole of it" if one[4] else b"")
        for one in batch
    ]
    commands = commands_in(mode)
    at, apart = 0, []
    while at < len(batched):
        place = commands.add_entries(batched, at, 1.0)
        if place < len(batched):
            item = batched[place]
            apart.append(place)
            if isinstance(item, StreamEntry):
                commands.add_event(item.stream, item.told())
            else:
                commands.add(b"ZREM", b"flows:open", b"f")
        at = place + 1
    return b"".join(commands.parts), commands.number, apart


@needs_core
@EXAMPLES
def test_both_write_the_same_commands(examples: int) -> None:
    in_one_call = 0

    def attack(states: list[int], batch: list[Any]) -> None:
        nonlocal in_one_call
        python, number, apart = written_of("off", states, batch)
        with_core, same_number, left = written_of("require", states, batch)
        assert (with_core, same_number) == (python, number)
        assert set(apart) <= set(left), "nothing is written without what has to stand beside it"
        in_one_call += len(batch) - len(left)

    # Every second stream is a usual one.
    states = st.lists(st.just(4 + 32) | st.integers(0, 63), min_size=4, max_size=4)
    fuzzing.fuzz(examples, {"states": states, "batch": batches}, attack)
    assert in_one_call > examples / 3


# -- faults ------------------------------------------------------------------------------------------------------------


def failing_core(**parts: Any) -> NativeCore:
    module: Any = native.load().core._module  # type: ignore[union-attr]

    def panic(*_: Any) -> Any:
        module.panic_here()

    whole = {"is_clean": panic, "pack_entries": panic, "pack_command": panic, "ReplyReader": panic}
    return NativeCore(SimpleNamespace(VERSION="0", **(whole | parts)))


class FailingReader:
    """Reads for a while, and then panics."""

    def __init__(self, wanted: int, calls: int, what: str) -> None:
        self._reader: Any = core().reply_reader(wanted)
        self._calls, self._what = calls, what

    all_well = property(lambda self: self._reader.all_well)

    def feed(self, chunk: bytes) -> Any:
        self._calls -= 1
        return self._panic() if self._what == "feed" and self._calls < 0 else self._reader.feed(chunk)

    def list(self, refusal: Any) -> Any:
        return self._panic() if self._what == "list" else self._reader.list(refusal)

    def _panic(self) -> Any:
        core()._module.panic_here()


@needs_core
@pytest.mark.parametrize(("what", "calls"), [("feed", 0), ("feed", 1), ("feed", 2), ("list", 9), ("all of it", 0)])
def test_python_reads_on_where_the_core_panics(what: str, calls: int, caplog: pytest.LogCaptureFixture) -> None:
    parts = {} if what == "all of it" else {"ReplyReader": lambda wanted: FailingReader(wanted, calls, what)}
    broken = failing_core(**parts)
    for _ in range(2):
        replies = NativeReplies(broken, 3)
        assert [replies.feed(chunk) for chunk in (b"$3\r\n1-", b"0\r\n-ERR", b" no\r\n:7\r\n")] == [False, False, True]
        assert not replies.all_well
        assert [str(reply) for reply in replies] == ["b'1-0'", "ERR no", "7"]
        assert replies[2] == 7
    assert broken.faults == 1
    assert [record.message for record in caplog.records] == [
        "the native core failed and is not used any more in this process; Python is used instead"
    ]


@needs_core
@pytest.mark.parametrize("what", ["entries", "command"])
def test_python_writes_what_the_core_panics_at(what: str) -> None:
    broken = failing_core()
    stream = stream_of(1, 4 + 32)
    batch = [StreamEntry(stream, START, number, b"{}") for number in range(3)]
    expected = RawCommands()
    for commands in (expected, NativeCommands(broken)):
        if what == "command":
            commands.add(b"TIME")
        assert commands.add_entries(batch, 1, 1.0) == 3
        assert commands.number == (3 if what == "command" else 2)
        assert b"".join(commands.parts) == b"".join(expected.parts)
    assert broken.faults == 1


# -- a server that is none ---------------------------------------------------------------------------------------------


class Impostor:
    """Lets clients connect as Redis does, and answers what they then ask with bytes of its own."""

    def __init__(self, answer: bytes, endless: bytes) -> None:
        self._answer, self._endless = answer, endless
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.connections = 0
        self.sent = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(line,), daemon=True))
                self._threads[-1].start()

    def _serve(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            while data := line.recv(65_536):
                for name in re.findall(rb"\*\d+\r\n\$\d+\r\n(\w+)\r\n", data):
                    line.sendall(b"+OK\r\n" if name == b"CLIENT" else self._answer)
                    self.sent += len(self._answer)
                    while self._endless and name != b"CLIENT":
                        line.sendall(self._endless)
                        self.sent += len(self._endless)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@contextmanager
def impostor(answer: bytes, endless: bytes = b"") -> Iterator[Impostor]:
    server = Impostor(answer, endless)
    try:
        yield server
    finally:
        server.close()


def linked(url: str, mode: str) -> RedisLink:
    return link_to(Settings(redis_url=url), native.chosen(mode))


def ask(link: RedisLink, *words: bytes) -> Any:
    commands = link.commands()
    commands.add(*words)
    return link.execute(commands, time.monotonic() + 10)


@in_both
@pytest.mark.parametrize("what", ["a push of RESP3", "a huge array", "another protocol", "a text that is longer"])
def test_a_server_that_is_no_redis_is_left_at_once_and_asked_anew(mode: str, what: str) -> None:
    sent, problem = HOSTILE[what]
    with impostor(sent) as server:
        link = linked(server.url, mode)
        for _ in range(2):
            with pytest.raises(Unavailable, match=problem):
                ask(link, b"PING")
        assert server.connections == 2
        link.close()


@in_both
@pytest.mark.parametrize(
    ("begin", "endless"),
    [(b"+", b"x" * 4096), (b"*60000\r\n", b":1\r\n" * 1000), (b"$60000\r\n", b"x" * 4096), (b"", b"*1\r\n" * 1000)],
    ids=["a status", "an array", "a text", "arrays in arrays"],
)
def test_a_reply_without_end_is_not_kept(mode: str, begin: bytes, endless: bytes) -> None:
    with impostor(begin, endless) as server:
        link = linked(server.url, mode)
        with pytest.raises(Unavailable, match="Redis sent"):
            ask(link, b"PING")
        link.close()
    assert server.sent < 16 * 1024 * 1024, "what fits into the sockets' own buffers"


@in_both
def test_a_reply_too_many_is_not_taken_for_the_answer_to_the_next_command(mode: str) -> None:
    with impostor(b":1\r\n:2\r\n") as server:
        link = linked(server.url, mode)
        for _ in range(2):
            with pytest.raises(Unavailable, match="more replies than it had got commands"):
                ask(link, b"PING")
        link.close()


@in_both
def test_a_real_server_is_understood(mode: str, redis_url: str) -> None:
    link = linked(redis_url, mode)
    assert list(ask(link, b"SET", b"text", b"a\r\nb")) == [b"OK"]
    (reply,) = ask(link, b"INCR", b"text")
    assert isinstance(reply, ResponseError)
    assert str(reply).startswith("ERR value is not an integer")
    assert list(ask(link, b"MGET", b"text", b"none")) == [[b"a\r\nb", None]]
    assert abs((link.time(time.monotonic() + 5) or 0.0) - time.time()) < 10
    link.close()
