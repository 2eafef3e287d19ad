"""Which users a process has told the directory about: once a minute each, and at once what is new."""

from spanflow.span_processors.archive.user_memory import Seen, UserMemory


class Minutes:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


def seen(
    user_id: str = "7",
    email: str | None = None,
    full_name: str | None = None,
    time_ns: int = 1,
    team: str | None = None,
) -> Seen:
    return Seen(user_id, email, full_name, team, time_ns)


def test_a_user_is_due_once_a_minute() -> None:
    clock = Minutes()
    memory = UserMemory(clock=clock)
    for minute in range(3):
        clock.now = minute * 60.0
        due = memory.due([seen()])
        assert due == [seen()]
        memory.written(due)
        clock.now += 59.9
        assert memory.due([seen(), seen()]) == []


def test_what_is_new_about_a_user_is_due_at_once() -> None:
    memory = UserMemory(clock=Minutes())
    memory.written(memory.due([seen(email="ada@example.org")]))
    assert memory.due([seen(email="ada@example.org")]) == []
    due = memory.due([seen(full_name="Ada Lovelace")])
    assert due == [seen(full_name="Ada Lovelace")]
    memory.written(due)
    assert memory.due([seen(email="ada@example.org", full_name="Ada Lovelace")]) == []
    memory.written(memory.due([seen(team="engines")]))
    assert memory.due([seen(team="engines")]) == []
    assert memory.due([seen(team="letters")]) == [seen(team="letters")]


def test_what_was_not_committed_is_due_again() -> None:
    memory = UserMemory(clock=Minutes())
    assert memory.due([seen()]) == memory.due([seen()]) == [seen()]


def test_several_flows_of_a_user_are_one_row_and_users_stand_in_the_order_of_locks() -> None:
    memory = UserMemory(clock=Minutes())
    flows = [seen("9"), seen("7", email="ada@example.org", time_ns=5), seen("7", full_name="Ada", time_ns=3)]
    assert memory.due(flows) == [seen("7", "ada@example.org", "Ada", 5), seen("9")]


def test_it_remembers_only_so_many() -> None:
    memory = UserMemory(clock=Minutes(), capacity=2)
    memory.written([seen("1"), seen("2"), seen("3")])
    assert [one.user_id for one in memory.due([seen("1"), seen("2"), seen("3")])] == ["1"]
