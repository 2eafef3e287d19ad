"""What a process has lost, written to Redis beside its heartbeat, for the alerts of viewers."""

from collections.abc import Mapping
from typing import Final

import orjson

from spanflow.span_processors import names
from spanflow.span_processors.redis.resp_commands import Commands

#: Processes that have lost something, of which the index knows.
MAX_PROCESSES: Final = 1000
_INDEX: Final = names.PROCESSES_WITH_LOSSES.encode()
#: Viewers remember for longer what they have counted.
_TTL: Final = b"86400"


def write_losses(commands: Commands, instance_id: str, losses: Mapping[str, int], now_s: int) -> int:
    """The number of commands: none while nothing is lost. Totals, so that what is written twice counts once; and each
    time anew, so that they are there again after Redis was emptied."""
    if not losses:
        return 0
    commands.add(b"SET", names.process_losses(instance_id).encode(), orjson.dumps(losses), b"EX", _TTL)
    commands.add(b"ZADD", _INDEX, b"%d" % now_s, instance_id.encode())
    commands.add(b"ZREMRANGEBYRANK", _INDEX, b"0", b"%d" % (-MAX_PROCESSES - 1))
    commands.add(b"EXPIRE", _INDEX, _TTL)
    return 4
