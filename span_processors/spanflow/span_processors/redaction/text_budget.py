"""How much text of one flow is still searched for secrets."""

from typing import Final

#: Flows that an exporter remembers.
_REMEMBERED: Final = 4096


class TextBudget:
    """Characters that are left to one flow, over all its spans. Two threads may take from it at once; then a text more
    than allowed may be searched."""

    __slots__ = ("left",)

    def __init__(self, characters: int) -> None:
        self.left = characters


class FlowBudgets:
    """The budgets of flows for an exporter, which gets the spans of one flow in several batches.

    No lock, so that a fork cannot leave one taken. When it is full everything is forgotten: a flow gets a second budget
    only after thousands of other flows had theirs, so that the work per request stays bounded.
    """

    def __init__(self, characters: int, most: int = _REMEMBERED) -> None:
        self._characters = characters
        self._most = most
        self._budgets: dict[int, TextBudget] = {}

    def of(self, trace_id: int) -> TextBudget:
        """The budget of this flow. What belongs to no flow (0) has one of its own each time."""
        budget = self._budgets.get(trace_id)
        if budget is None:
            budget = TextBudget(self._characters)
            if trace_id:
                if len(self._budgets) >= self._most:
                    self._budgets.clear()
                budget = self._budgets.setdefault(trace_id, budget)
        return budget
