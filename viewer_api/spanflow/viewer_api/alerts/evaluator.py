"""Evaluates the rules: of all viewers one at a time, in one transaction that also queues what is to be told.

A viewer that is killed in the middle leaves nothing half done, and lets go of the lock: another one goes on with the
next round. Rounds are counted in the database, so that several viewers do no more of them than one.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from spanflow.viewer_api.alerts.condition import window_of
from spanflow.viewer_api.alerts.delivery_log import DeliveryLog
from spanflow.viewer_api.alerts.gateway_losses import GatewayLosses
from spanflow.viewer_api.alerts.measures import Measures
from spanflow.viewer_api.alerts.rule_store import RuleState, RuleStore
from spanflow.viewer_api.alerts.state_machine import Memory, Transition, ended, step
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.store.database import Connection

log = logging.getLogger(__name__)

_TURN: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_LAST_ROUND: Final = "SELECT at FROM {s}.alert_rounds"
_BEGIN_ROUND: Final = "UPDATE {s}.alert_rounds SET at = $1"
#: A round that begins a little early is still the next one.
_EARLY: Final = 0.8


class Evaluator:
    def __init__(
        self,
        rules: RuleStore,
        deliveries: DeliveryLog,
        measures: Measures,
        gateways: GatewayLosses,
        clock: Clock,
        seconds: float,
    ) -> None:
        self._rules = rules
        self._deliveries = deliveries
        self._measures = measures
        self._gateways = gateways
        self._clock = clock
        self._seconds = seconds
        #: Rounds that this viewer has done.
        self.rounds = 0

    async def run(self) -> None:
        try:
            await self.round()
        except Problem as why:
            log.debug("Alert rules cannot be evaluated now: %s", why.code)

    async def round(self) -> bool:
        """Evaluate every rule once; False when it is another viewer's turn, or too early."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        await self._gateways.count(now)
        database = self._rules.database
        async with database.transaction() as connection:
            if not await connection.fetchval(database.sql(_TURN), database.sql("alerts of {s}")):
                return False
            last = await connection.fetchval(database.sql(_LAST_ROUND))
            if timedelta() <= now - last < timedelta(seconds=self._seconds * _EARLY):
                return False
            await connection.execute(database.sql(_BEGIN_ROUND), now)
            for state in await self._rules.all_in(connection):
                await self._evaluate(connection, state, now)
        self.rounds += 1
        return True

    async def _evaluate(self, connection: Connection, state: RuleState, now: datetime) -> None:
        rule, memory = state.rule, state.memory or Memory.fresh(now)
        transitions: list[Transition] = []
        flow_ids: tuple[str, ...] = ()
        if state.memory is not None and (state.version != rule.version or not rule.enabled):
            memory, transitions = ended(memory, now)
        if rule.enabled:
            try:
                observation = await self._measures.observe(rule, now)
            except Problem as why:
                # What it was stays so, and says why it is not known to be so any more.
                memory, flow_ids = replace(memory, problem=why.code), state.flow_ids
            except asyncpg.PostgresError as why:
                # One rule costs no other its evaluation.
                log.warning("The alert rule %s cannot be evaluated: %s", rule.rule_id, why)
                memory, flow_ids = replace(memory, problem="internal_error"), state.flow_ids
            else:
                verdict = rule.definition.condition.judge(observation)
                snoozed = rule.is_snoozed(now)
                memory, found = step(memory, verdict, rule.definition, now, snoozed=snoozed)
                transitions += found
                flow_ids = verdict.flow_ids
        await self._rules.keep_state(connection, rule, memory, flow_ids, now)
        for transition in transitions:
            await self._tell(connection, state, transition, memory, flow_ids, now)

    async def _tell(
        self,
        connection: Connection,
        state: RuleState,
        transition: Transition,
        memory: Memory,
        flow_ids: tuple[str, ...],
        now: datetime,
    ) -> None:
        rule = state.rule
        since = now - timedelta(seconds=window_of(rule.definition.condition))
        event_id = await self._rules.add_event(connection, rule, transition, memory, since, now, flow_ids)
        if event_id is None:
            return
        for channel_id in rule.definition.channels:
            await self._deliveries.queue(connection, event_id, channel_id, now, suppressed=transition.suppressed)
