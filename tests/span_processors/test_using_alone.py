"""The page on span processors alone does what it says."""

import re
from pathlib import Path
from typing import Any

import redis

from spanflow.span_processors import names


def test_the_three_lines_bring_a_users_flow_into_redis(redis_url: str, redis_client: "redis.Redis") -> None:
    page = Path("docs/span-processors.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    code = "\n".join(blocks).replace("redis://127.0.0.1:6379/0", redis_url)
    scope: dict[str, Any] = {}
    exec(compile(code, "span-processors.md", "exec"), scope)  # the page's own code
    found: Any = redis_client.zrange(names.user_flows("7"), 0, -1)
    assert [redis_client.xlen(names.flow_stream(flow_id.decode())) for flow_id in found] == [5]
    scope["provider"].shutdown()
