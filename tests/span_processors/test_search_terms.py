"""What is indexed is found, in any script, whole or by its parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from spanflow.span_processors.archive.search_terms import MAX_TERM, MAX_TERMS, found_in, index_terms, tsquery, tsvector
from tests.support.query import value


def test_terms_are_whole_words_and_their_parts() -> None:
    assert index_terms(["List list_snapshots on qa-mcp", "10.0.0.1:8080", "list"]) == snapshot(
        ["list", "list_snapshots", "snapshots", "on", "qa-mcp", "qa", "mcp", "10.0.0.1:8080", "10", "0", "1", "8080"]
    )


def test_full_width_letters_and_case_are_folded_and_unspaced_scripts_are_paired() -> None:
    assert index_terms(["ＦＵＬＬ Straße", "東京都庁", "作业", "한국어"]) == snapshot(
        ["full", "strasse", "東京都庁", "東京", "京都", "都庁", "庁", "作业", "业", "한국어", "한국", "국어", "어"]
    )


def test_terms_are_bounded() -> None:
    terms = index_terms([" ".join(f"word{number}" for number in range(5000)), "x" * 1000])
    assert len(terms) == MAX_TERMS
    assert index_terms(["y" * 1000]) == ["y" * MAX_TERM]


@pytest.mark.parametrize("nothing", ["", "  ", "!?", "__", "'", "\\", "--"])
def test_a_text_without_a_word_asks_nothing(nothing: str) -> None:
    assert tsquery(nothing) is None
    assert index_terms([nothing]) == []


CASES = [
    ("the backup of list_snapshots failed", "snapshots", True),
    ("the backup of list_snapshots failed", "list_snap", True),
    ("the backup of list_snapshots failed", "BACKUP failed", True),
    ("the backup of list_snapshots failed", "restore", False),
    ("ada@example.org", "ada@example.org", True),
    ("ada@example.org", "example.org", False),
    ("東京都庁の天気", "都庁", True),
    ("東京都庁の天気", "京都庁", True),
    ("東京都庁の天気", "大阪", False),
    ("it's O'Brien\\'s \"quote\"", "o'brien", True),
    ("Größe ＡＢＣ", "grösse abc", True),
    ("今日の天気", "気", True),
    ("ขอรายงานสรุปยอดขายประจำเดือน", "สรุป", True),
    ("ขอรายงานสรุปยอดขายประจำเดือน", "ยอดขายประจำ", True),
    ("ขอรายงานสรุปยอดขายประจำเดือน", "ธนาคาร", False),
    ("أرسل تَقرير المبيعات", "تقرير", True),
    ("أرسل تقرير المبيعات", "المبي", True),
    ("שָׁלוֹם עולם", "שלום", True),
    ("शुक्रवार की रिपोर्ट", "रिपोर्ट", True),
    ("शुक्रवार की रिपोर्ट", "रिपर्ट", False),
    ("deployed 🚀🎉 fine", "🚀", True),
    ("deployed 🚀🎉 fine", "🎉 fine", True),
    ("deployed 🚀 fine", "🎉", False),
    ("привет МИР", "мир", True),
]


@pytest.mark.parametrize(("text", "asked", "found"), CASES)
def test_postgres_finds_what_was_indexed(empty_postgres_dsn: str, text: str, asked: str, found: bool) -> None:
    query = tsquery(asked)
    assert query is not None
    answer = value(
        empty_postgres_dsn, "SELECT $1::text::tsvector @@ $2::text::tsquery", tsvector(index_terms([text])), query
    )
    assert answer is found
    assert found_in(asked, index_terms([text])) is found


@given(st.text(max_size=30))
def test_every_word_of_a_text_finds_it(text: str) -> None:
    indexed = set(index_terms([text]))
    asked = tsquery(text)
    if asked is not None:
        *whole, last = [term.strip("'") for term in asked.removesuffix(":*").split(" & ")]
        assert indexed.issuperset(whole)
        assert any(term.startswith(last) for term in indexed)
