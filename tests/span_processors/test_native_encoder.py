"""The native core writes the same bytes as Python, for whatever a span holds, or leaves it to Python."""

import enum
import math
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

from spanflow.span_processors import native
from spanflow.span_processors.encoding.clean_attributes import CleanAttributes
from spanflow.span_processors.encoding.encoder import Encoder
from spanflow.span_processors.encoding.native_attributes import NativeAttributes
from spanflow.span_processors.encoding.process_info import ProcessInfo
from spanflow.span_processors.identity import NOBODY
from spanflow.span_processors.native import NativeCore
from spanflow.span_processors.redaction.redaction import RedactionPolicy, Redactor
from spanflow.span_processors.redaction.text_budget import TextBudget
from spanflow.span_processors.redis.watched import NoWatchedUsers
from spanflow.span_processors.settings import Settings
from spanflow.span_processors.span_attributes import attributes_of
from tests.span_processors.test_redaction_fuzz import texts
from tests.support import fuzzing
from tests.support.native_core import core, needs_core
from tests.support.secret_shapes import SECRET_NAMES, SHAPES

pytestmark = needs_core
EXAMPLES = fuzzing.examples(60, 600)
TRACER: Any = TracerProvider(shutdown_on_exit=False).get_tracer("test", "1")
PROSE = "The order that was asked about has been sent, and will be there on Monday. "


class Colour(enum.StrEnum):
    RED = "red"


class Number(int):
    pass


def deep(levels: int) -> Any:
    return {"level": levels, "below": [deep(levels - 1), 1.5]} if levels else "bottom"


#: What spans hold, as JSON and its types; None where Python decides.
VECTORS: dict[str, tuple[dict[str, Any], tuple[str, str, int] | None]] = {
    "nothing": ({}, ("{}", "", 0)),
    "scalars": (
        {"a": "x", "b": 1, "c": True, "d": None, "e": 0.25, "f": -7},
        ('{"a":"x","b":1,"c":true,"d":null,"e":0.25,"f":-7}', "", 0),
    ),
    "escapes": ({"a": 'q"\\\n\r\t\b\f\x1f\x7f é 😀'}, ('{"a":"q\\"\\\\\\n\\r\\t\\b\\f\\u001f\x7f é 😀"}', "", 0)),
    "doubles": (
        {"a": 2.0, "b": -0.0, "c": math.nan, "d": math.inf, "e": -math.inf, "f": 1e-5, "g": 2.0**53 - 1},
        (
            '{"a":2,"b":-0.0,"c":"NaN","d":"Infinity","e":"-Infinity","f":0.00001,"g":9007199254740991}',
            '{"a":"double","b":"double","c":"double","d":"double","e":"double","g":"double"}',
            0,
        ),
    ),
    "large integers": (
        {"a": 2**53 - 1, "b": 2**53, "c": -(2**63)},
        (
            '{"a":9007199254740991,"b":"9007199254740992","c":"-9223372036854775808"}',
            '{"b":"int","c":"int"}',
            0,
        ),
    ),
    "lists": (
        {"a": ("x", "y"), "b": [], "c": [1, 1.0]},
        ('{"a":["x","y"],"b":[],"c":[1,1]}', '{"c":{"1":"double"}}', 0),
    ),
    "objects": (
        {"a": {"b": {"c": [2**60, {}]}, "d": None}},
        ('{"a":{"b":{"c":["1152921504606846976",{}]},"d":null}}', '{"a":{"b":{"c":{"0":"int"}}}}', 0),
    ),
    "content": (
        {"gen_ai.input.messages": "hello", "a": {"prompt": "hello", "n": 1}, "gen_ai.usage.input_tokens": 5},
        ('{"a":{"n":1},"gen_ai.usage.input_tokens":5}', "", 2),
    ),
    "names of secrets": (
        {"password": "hunter2", "session_token": 5, "x": {"api_key": ["a"], "n": 1}},
        ('{"password":"[redacted]","session_token":5,"x":{"api_key":"[redacted]","n":1}}', "", 2),
    ),
    "a long text": ({"a": "word " * 2000}, ('{"a":"' + ("word " * 2000)[:8192] + '… [1808 more characters]"}', "", 0)),
    "a secret in a text": ({"a": "password=hunter2"}, None),
    "a secret in an object": ({"a": {"b": ["Bearer abcdefghij"]}}, None),
    "an option": ({"a": ["--password", "hunter2"]}, None),
    "NUL": ({"a": "x\x00"}, None),
    "a lone surrogate": ({"a": ["\ud800"]}, None),
    "a lone surrogate in a name": ({"\ud800": 1}, None),
    "bytes": ({"a": b"x"}, None),
    "a set": ({"a": {1}}, None),
    "a large double": ({"a": 1e300}, None),
    "a small double": ({"a": 1e-7}, None),
    "an integer of more than 64 bits": ({"a": 2**63}, None),
    "a class of its own": ({"a": Colour.RED}, None),
    "a number of its own class": ({"a": [Number(1)]}, None),
    "a mapping of its own class": ({"a": OrderedDict(b=1)}, None),
    "a key that is no text": ({"a": {1: 2}}, None),
    "much nesting": ({"a": deep(9)}, None),
    "many values": ({"a": list(range(5000))}, None),
    "a long name": ({"a" * 300: 1}, None),
}


def cleaners(policy: dict[str, Any]) -> tuple[CleanAttributes, CleanAttributes, list[Redactor]]:
    """Python's and the native one, and their redactors."""
    redactors = [Redactor(RedactionPolicy(**policy, native=mode)).for_flows() for mode in ("off", "require")]
    for redactor in redactors:
        redactor.budget = TextBudget(20_000)
    return CleanAttributes(redactors[0]), CleanAttributes(redactors[1]), redactors


def result(clean: CleanAttributes, attributes: dict[str, Any]) -> tuple[Any, ...]:
    written, types, named, hidden, who = clean(attributes)
    return written, types, list(named), hidden, who


@pytest.mark.parametrize("name", VECTORS)
def test_what_spans_hold_is_written_as_python_writes_it(name: str) -> None:
    attributes, wanted = VECTORS[name]
    python, with_core, redactors = cleaners({})
    done = NativeAttributes(core(), redactors[1])(attributes)
    if wanted is None:
        assert done is None
    else:
        assert done is not None
        assert (done[0].decode(), done[1].decode(), done[3]) == wanted
        redactors[1].budget = TextBudget(20_000)
    for _ in range(2):  # from the caches, too
        assert result(with_core, attributes) == result(python, attributes)
    budgets = [redactor.budget.left for redactor in redactors if redactor.budget]
    assert budgets[0] == budgets[1]


keys = (
    st.sampled_from(
        "a b flow.data.tool flow.data.note flow.outcome flow.checkpoint.type user.id gen_ai.prompt http.url "
        "gen_ai.usage.x llm.token_count.y flow.data.question session.id max_tokens access_tokens tenant".split()
    )
    | st.sampled_from(SECRET_NAMES)
    | texts
)
long_texts = st.integers(1, 200).map(lambda times: PROSE * times) | st.text(min_size=200, max_size=400)
scalars = st.one_of(
    texts,
    long_texts,
    st.text(st.characters(), max_size=8),
    st.sampled_from(list(SHAPES)).map(lambda shape: SHAPES[shape](7).text),
    st.sampled_from(
        ["ok", "denied", "[redacted]", "a\x00b", "\ud800", "--token", "-v", "me@example.org", "\\u0000", "12", "٣"]
    ),
    st.sampled_from([Colour.RED, Number(3), 2**63, -(2**63), 2**53, 1e16, 1e-5, 0.1 + 0.2, "x… [5 more characters]"]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=4),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.sampled_from([{1}, OrderedDict(a=1), {1: 2}, deep(3), deep(12)]),
    ),
    max_leaves=12,
)
#: What the core writes by itself.
ordinary = st.recursive(
    st.sampled_from([2**53 - 1, 2**53, -(2**63), 0, 1.0, -0.0, 0.25, 1e15, math.nan, math.inf, True, None, "", "é\n"])
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(1, 120).map(lambda times: PROSE * times),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
attributes = st.one_of(
    st.dictionaries(keys, values, max_size=5),
    st.dictionaries(st.sampled_from(["a", "b", "http.url", "gen_ai.prompt", "password"]), ordinary, max_size=4),
)


@EXAMPLES
@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"content": "full", "max_length": 100, "hide_emails": True},
        {"content": "hash", "secret_keys": ("Tenant",), "max_length": 300, "max_items": 9, "max_depth": 3},
        {"content": "full", "kept_keys": ("http.url", "a"), "metadata_keys": ("note",)},
    ],
    ids=["defaults", "content, short, no e-mail", "hashed, small", "kept"],
)
def test_both_write_the_same_attributes(examples: int, policy: dict[str, Any]) -> None:
    python, with_core, redactors = cleaners(policy)
    alone = NativeAttributes(core(), Redactor(RedactionPolicy(**policy, native="require")))
    decided = 0

    def attack(sets: list[dict[str, Any]]) -> None:
        nonlocal decided
        for redactor in redactors:
            redactor.budget = TextBudget(20_000)
        for attributes in sets:
            assert result(with_core, attributes) == result(python, attributes)
            decided += alone(attributes) is not None
            (one, other) = (redactor.budget.left for redactor in redactors if redactor.budget)
            assert one == other
        assert redactors[0].over_budget == redactors[1].over_budget

    fuzzing.fuzz(examples, {"sets": st.lists(attributes, min_size=1, max_size=4)}, attack)
    assert decided > examples / 3


def encoder(mode: Any, content: Any) -> Encoder:
    redactor = Redactor(RedactionPolicy(content=content, native=mode, max_flow_text=30_000))
    process = ProcessInfo(redactor, lambda: "gateway-1")
    return Encoder(Settings(native=mode), process=process, watched=NoWatchedUsers(), redactor=redactor)


names_of_spans = st.sampled_from(["auth_check", "llm_thinking", "GET", "tool_call", "Bearer abcdefghijklmnop"])
steps = st.tuples(
    names_of_spans, attributes, attributes, st.integers(0, 31), st.sampled_from(list(StatusCode)), attributes
)


class Step:
    """One span, told to a Python and to a native encoder in the same words."""

    def __init__(self, encoders: list[Encoder], parent: Any, step: tuple[Any, ...]) -> None:
        self.encoders = encoders
        self.name, at_start, self.later, self.how, self.status, self.logged = step
        context = Context() if parent is None else set_span_in_context(parent, Context())
        links = [Link(parent.context, {"a": 1.0})] if parent and self.how & 8 else []
        self.span: Any = TRACER.start_span(self.name, context, kind=SpanKind.CLIENT, links=links)
        # The SDK itself would refuse some of these.
        self.span._attributes._dict.update(at_start)
        self.before = attributes_of(self.span)
        self.deferred = [
            one.defer_start(self.span, self.name, self.before, NOBODY, 0.0) if self.how & 16 else None
            for one in encoders
        ]
        for one, deferred in zip(encoders, self.deferred, strict=True):
            if deferred is None:
                one.started(self.span, self.name, self.before, NOBODY, 0.0)

    def end(self) -> None:
        span = self.span
        span._attributes._dict.update(self.later)
        if self.how & 1:
            span.update_name("renamed")
        if self.how & 2:
            for one in self.encoders:
                one.updated(span, span.name, attributes_of(span), 5, 0.0)
        if self.how & 4:
            span.add_event("exception", {"exception.message": PROSE, "n": 1})
            span._events._dq[0].attributes._dict.update(self.logged)
        span.set_status(Status(self.status, PROSE if self.status is StatusCode.ERROR else None))
        span.end()
        for one, deferred in zip(self.encoders, self.deferred, strict=True):
            if deferred is not None:
                if one.encode_complete(span, span._context, deferred, self.name, self.before, NOBODY, 0.0):
                    continue
                one.started(span, self.name, self.before, NOBODY, 0.0)
            one.ended(span, attributes_of(span), 0.0)


@EXAMPLES
@pytest.mark.parametrize("content", ["off", "full"])
def test_both_write_the_same_events(examples: int, content: Any) -> None:
    def attack(steps: list[tuple[Any, ...]]) -> None:
        encoders = [encoder(mode, content) for mode in ("off", "require")]
        opened: list[Step] = []
        for step in steps:
            opened.append(Step(encoders, opened[0].span if opened else None, step))
        for begun in reversed(opened):
            begun.end()
        python, with_core = encoders
        for one in encoders:
            one.complete_all()
        assert bytes_of(with_core) == bytes_of(python)
        assert with_core.parts == python.parts
        assert with_core.shortened_texts == python.shortened_texts

    fuzzing.fuzz(examples, {"steps": st.lists(steps, min_size=1, max_size=4)}, attack)


def bytes_of(encoder: Encoder) -> list[Any]:
    return [getattr(item, "data", None) for item in encoder.events]


def test_a_fault_is_counted_and_python_takes_over(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def __init__(self, *policy: Any) -> None:
            self.calls = 0

        def encode(self, attributes: Any, budget: int) -> Any:
            native.load().core._module.panic_here()  # type: ignore[union-attr]

    broken = NativeCore(SimpleNamespace(VERSION="0", is_clean=lambda text: True, AttributeEncoder=Failing))
    encode = NativeAttributes(broken, Redactor())
    assert [encode({"a": 1}) for _ in range(3)] == [None, None, None]
    assert broken.faults == 1
    assert not broken.is_clean("prose")
    assert [record.message for record in caplog.records] == [
        "the native core failed and is not used any more in this process; Python is used instead"
    ]


def test_a_fault_of_pythons_own_is_no_fault_of_the_core() -> None:
    def judge(key: str, nested: bool = False) -> Any:
        raise RuntimeError("a fault of Python's side")

    redactor = Redactor()
    redactor.verdict = judge  # type: ignore[method-assign]
    faults = native.faults()
    assert NativeAttributes(core(), redactor)({"a": 1}) is None
    assert native.faults() == faults
    assert NativeAttributes(core(), Redactor())({"a": 1}) is not None


def test_values_that_refer_to_themselves_are_left_to_python() -> None:
    endless: list[Any] = []
    endless.append(endless)
    wide: dict[str, Any] = {"a": 1}
    for _ in range(12):
        wide = {"a": [wide] * 4}
    for value in (endless, wide):
        assert NativeAttributes(core(), Redactor())({"a": value}) is None


def test_what_names_mean_is_asked_of_python_once() -> None:
    redactor = Redactor()
    asked: list[str] = []
    judge = redactor.verdict

    def counted(key: str, nested: bool = False) -> Any:
        asked.append(key)
        return judge(key, nested)

    redactor.verdict = counted  # type: ignore[method-assign]
    encode = NativeAttributes(core(), redactor)
    for number in range(3):
        assert encode({"a": number, "b": {"c": number}}) is not None
    assert sorted(asked) == ["a", "b", "c"]
