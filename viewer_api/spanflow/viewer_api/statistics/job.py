"""The periodic job of a viewer that keeps statistics up to date."""

import logging
from datetime import UTC, datetime

from spanflow.span_processors.tree.prices import NO_PRICES, PricesError, PriceTable, load_prices
from spanflow.viewer_api.clock import Clock
from spanflow.viewer_api.http.problems import Problem
from spanflow.viewer_api.statistics.counting import Counting
from spanflow.viewer_api.store.database import Database

log = logging.getLogger(__name__)


class StatisticsJob:
    """`database` is the one that is written to; one that cannot be written to is for other viewers to count in."""

    def __init__(self, database: Database, prices: PriceTable, clock: Clock) -> None:
        self._counting = Counting(database, prices=prices)
        self._clock = clock

    async def run(self) -> None:
        """Count what has changed. Nothing is lost while Postgres is away: what waits is written there."""
        try:
            await self._counting.run(datetime.fromtimestamp(self._clock(), UTC))
        except Problem as why:
            log.debug("Statistics cannot be counted now: %s", why.code)


def prices_of(path: str) -> PriceTable:
    """The table of prices; none when it cannot be used, which the archive says as well."""
    try:
        return load_prices(path)
    except PricesError as why:
        log.error("Steps are counted without their cost: %s", why)
        return NO_PRICES
