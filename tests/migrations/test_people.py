"""Finding a person by any part of an e-mail address, from an index and without an extension."""

import pytest

from tests.support.query import query, script, value


@pytest.fixture
def directory(postgres_dsn: str) -> str:
    script(
        postgres_dsn,
        """
        INSERT INTO omni2.user_directory (user_id, email, full_name, last_seen) VALUES
            ('1', 'ann.smith@example.com', 'Ann Smith', '2026-01-03'),
            ('2', 'bob@example.com', 'Bob 100%_real', '2026-01-02'),
            ('u-3', NULL, 'Žofie Nováková', '2026-01-01'),
            ('4', NULL, NULL, '2025-01-01');
        """,
    )
    return postgres_dsn


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ann.smith@example.com", ["1"]),
        ("SMITH@EX", ["1"]),
        ("example.com", ["1", "2"]),
        ("  mith  ", ["1"]),
        ("nová", ["u-3"]),
        ("NOVÁKOVÁ", ["u-3"]),
        ("100%_", ["2"]),
        ("%%%", []),
        ("___", []),
        ("nobody at all", []),
        ("an", ["1"]),
        ("B", ["2"]),
        ("ž", ["u-3"]),
        ("u-", ["u-3"]),
        ("4", ["4"]),
        ("m", []),
        ("", ["1", "2", "u-3", "4"]),
    ],
)
def test_any_part_is_found_and_one_or_two_letters_as_a_beginning(directory: str, q: str, found: list[str]) -> None:
    assert [row["user_id"] for row in query(directory, "SELECT * FROM omni2.search_users($1)", q)] == found


def test_the_answer_is_bounded(directory: str) -> None:
    assert [row["user_id"] for row in query(directory, "SELECT * FROM omni2.search_users('', 2)")] == ["1", "2"]
    assert len(query(directory, "SELECT * FROM omni2.search_users('', -5)")) == 1


def test_many_people_are_searched_by_index(postgres_dsn: str) -> None:
    script(
        postgres_dsn,
        "INSERT INTO omni2.user_directory (user_id, email, full_name, last_seen) "
        "SELECT n::text, md5(n::text) || '@example.com', 'Person ' || n, now() - n * interval '1 second' "
        "FROM generate_series(1, 8000) AS n;"
        "ANALYZE omni2.user_directory",
    )
    needle = value(postgres_dsn, "SELECT substr(md5('4711'), 5, 10)")
    plan = query(
        postgres_dsn,
        f"EXPLAIN SELECT * FROM omni2.user_directory "
        f"WHERE grams @> omni2.wanted_grams(omni2.search_words('{needle}')) "
        f"AND omni2.has_words(haystack, omni2.search_words('{needle}'))",
    )
    assert "user_directory_grams" in "\n".join(row["QUERY PLAN"] for row in plan)
    assert [row["user_id"] for row in query(postgres_dsn, "SELECT * FROM omni2.search_users($1)", needle)] == ["4711"]
    # What everybody has is found among those who were here last.
    assert [row["user_id"] for row in query(postgres_dsn, "SELECT * FROM omni2.search_users('@example', 3)")] == [
        *("1", "2", "3")
    ]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("novakova", ["u-3"]),
        ("ZOFIE", ["u-3"]),
        ("real bob", ["2"]),
        ("smith ann", ["1"]),
        ("ann bob", []),
        ("ex", ["1", "2"]),
        ("smith@example", ["1"]),
        ("\uff53\uff4d\uff49\uff54\uff48", ["1"]),
    ],
)
def test_accents_width_and_the_order_of_words_do_not_matter(directory: str, q: str, found: list[str]) -> None:
    assert [row["user_id"] for row in query(directory, "SELECT * FROM omni2.search_users($1)", q)] == found


def test_only_those_whom_somebody_may_see_are_searched(directory: str) -> None:
    statement = "SELECT user_id FROM omni2.search_users($1, 20, $2::text[])"
    for q, among, found in (
        ("example", ["2", "u-3"], ["2"]),
        ("", ["4", "1", "9"], ["1", "4"]),
        ("b", ["1"], []),
        ("example", [], []),
    ):
        assert [row["user_id"] for row in query(directory, statement, q, among)] == found


def test_a_very_long_name_does_not_stop_a_person_from_being_stored(postgres_dsn: str) -> None:
    query(
        postgres_dsn,
        "INSERT INTO omni2.user_directory (user_id, email, full_name) VALUES ($1, $2, $3) RETURNING user_id",
        "u" * 128,
        "e" * 2000 + "@example.com",
        "n" * 2000,
    )
    assert len(query(postgres_dsn, "SELECT * FROM omni2.search_users('nnnn')")) == 1
