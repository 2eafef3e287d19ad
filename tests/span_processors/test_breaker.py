"""The breaker: fewer and fewer questions to a server that does not answer."""

from spanflow.span_processors.stages.breaker import Breaker


class ManualClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


def test_pauses_grow_to_the_longest_and_end_with_a_success() -> None:
    clock = ManualClock()
    breaker = Breaker(clock=clock, longest_pause=1.0, jitter=lambda: 1.0)
    pauses = []
    states: list[str] = []
    for _ in range(6):
        assert breaker.allows()
        breaker.failed("away")
        assert not breaker.allows()
        states.append(breaker.state)
        pauses.append(round(breaker.pause(), 3))
        clock.now += breaker.pause()
        states.append(breaker.state)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert states == ["open", "half_open"] * 6
    breaker.succeeded()
    assert (breaker.state, breaker.pause(), breaker.reason) == ("closed", 0.0, "")


def test_the_jitter_takes_away_up_to_half_of_a_pause() -> None:
    breaker = Breaker(clock=ManualClock(), jitter=lambda: 0.0)
    breaker.failed("away")
    assert round(breaker.pause(), 3) == 0.05
    assert breaker.reason == "away"
