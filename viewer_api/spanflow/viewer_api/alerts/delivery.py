"""Makes deliveries that are due: any viewer may, each is made by one at a time, and one that died is taken over.

A delivery is made at least once. All its attempts have the same id, by which a receiver knows them.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from spanflow.viewer_api.alerts import messages
from spanflow.viewer_api.alerts.apprise_sender import AppriseSender
from spanflow.viewer_api.alerts.channel_store import Channel, ChannelStore
from spanflow.viewer_api.alerts.delivery_log import DeliveryLog, Outcome, Taken
from spanflow.viewer_api.alerts.rule_store import Event, RuleStore
from spanflow.viewer_api.alerts.webhook import GONE, Answer, WebhookSender
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem

log = logging.getLogger(__name__)

_AT_ONCE: Final = 10
#: After the first attempt, the second and so on; each with jitter. Then it is given up.
BACKOFF: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
_LONGEST_WAIT: Final = 4 * 3600.0
#: Who switches off a channel whose receiver is gone.
_SYSTEM: Final = "spanflow"
_SWITCHED_OFF: Final = "channel_disabled"


class Deliveries:
    def __init__(
        self,
        rules: RuleStore,
        channels: ChannelStore,
        delivery_log: DeliveryLog,
        webhook: WebhookSender,
        apprise: AppriseSender,
        clock: Clock,
        public_url: str,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._rules = rules
        self._channels = channels
        self._log = delivery_log
        self._webhook = webhook
        self._apprise = apprise
        self._clock = clock
        self._public_url = public_url
        self._jitter = jitter

    async def run(self) -> None:
        """Make what is due."""
        try:
            while taken := await self._log.take(self._now(), _AT_ONCE):
                await asyncio.gather(*(self._deliver(each) for each in taken))
        except Problem as why:
            log.debug("Alerts cannot be delivered now: %s", why.code)

    async def test(self, connection: Any, channel: Channel) -> str:
        """Queue a test, for `made`: its id."""
        return await self._log.queue(connection, None, channel.channel_id, self._now(), due=False)

    async def made(self, delivery_id: str, channel: Channel) -> Answer:
        """Send a test at once; it is not repeated."""
        answer = await self._sent(channel, None, delivery_id)
        outcome = Outcome.DELIVERED if answer.delivered else Outcome.FAILED
        async with self._log.database.transaction() as connection:
            # Tests are never due, so no other viewer takes them: the attempts are still 0.
            await self._log.settle(
                connection,
                Taken(delivery_id, None, channel.channel_id, 0),
                outcome,
                status=answer.status,
                problem=answer.problem,
            )
        return answer

    async def _deliver(self, taken: Taken) -> None:
        database = self._log.database
        async with database.transaction() as connection:
            channel = await self._channels.one(connection, taken.channel_id)
            event = await self._rules.event(connection, taken.event_id)
        if channel is None or event is None:
            return  # deleted meanwhile, and the delivery with it
        if not channel.enabled:
            answer = Answer(False, None, _SWITCHED_OFF)
        else:
            try:
                answer = await self._sent(channel, event, taken.delivery_id)
            except Exception as mistake:
                log.exception("A delivery to the channel '%s' failed", channel.name)
                answer = Answer(False, None, f"internal_error: {type(mistake).__name__}")
        again = self._again(taken, answer)
        outcome = Outcome.DELIVERED if answer.delivered else Outcome.RETRYING if again else Outcome.FAILED
        async with database.transaction() as connection:
            await self._log.settle(
                connection, taken, outcome, status=answer.status, problem=answer.problem, due_at=again
            )
            if answer.status == GONE:
                await self._channels.switch_off(connection, channel.channel_id, _SYSTEM, self._now())
        if outcome is Outcome.FAILED:
            log.warning("An alert was not delivered to the channel '%s': %s", channel.name, answer.problem)

    async def _sent(self, channel: Channel, event: Event | None, delivery_id: str) -> Answer:
        if channel.kind == "webhook":
            body = messages.webhook_body(event, self._now(), self._public_url)
            return await self._webhook.send(channel.hidden["url"], channel.hidden["secret"], delivery_id, body)
        title = messages.title_of(event)
        text = messages.text_of(event, self._public_url)
        if channel.kind == "apprise":
            return await self._apprise.send(channel.shown["tag"], title, text)
        resolved = event is None or event.kind == "resolved"
        log.log(logging.INFO if resolved else logging.WARNING, "%s. %s", title, text.replace("\n", "; "))
        return Answer(True)

    def _again(self, taken: Taken, answer: Answer) -> datetime | None:
        """When it is tried again; None: not at all."""
        if answer.delivered or answer.status == GONE or answer.problem == _SWITCHED_OFF:
            return None
        if taken.attempts > len(BACKOFF):
            return None
        wait = BACKOFF[taken.attempts - 1] * (0.75 + 0.5 * self._jitter())
        wait = max(wait, min(answer.retry_after or 0.0, _LONGEST_WAIT))
        return self._now() + timedelta(seconds=wait)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
