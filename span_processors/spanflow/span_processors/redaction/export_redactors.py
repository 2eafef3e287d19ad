"""Redactors for the batches of an exporter: what is searched of one flow is bounded over all its batches."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spanflow.span_processors.redaction.redaction import Redactor
from spanflow.span_processors.redaction.text_budget import FlowBudgets

_log = logging.getLogger(__name__)


class ExportRedactors:
    """One per exporter. Safe to share between threads: each batch has a redactor of its own."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._budgets = FlowBudgets(redactor.max_flow_text)
        #: Texts that were shortened because their flow had used up its budget.
        self.shortened = 0

    @contextmanager
    def batch(self) -> Iterator[Callable[[int], Redactor]]:
        """For one batch: the redactor for what belongs to a trace, 0 for none."""
        redactor = self._redactor.for_flows()
        redactor.over_budget = 0

        def of(trace_id: int) -> Redactor:
            redactor.budget = self._budgets.of(trace_id)
            return redactor

        yield of
        if redactor.over_budget:
            if not self.shortened:
                _log.warning(
                    "Texts of a flow that is exported were shortened: it has used up SPANFLOW_MAX_FLOW_TEXT. "
                    "Not said again."
                )
            self.shortened += redactor.over_budget
