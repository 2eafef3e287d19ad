"""The page of a flow in another tool."""

import re
from typing import Final

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


def trace_link(template: str, flow_id: str) -> dict[str, str]:
    """`trace_url` as it stands in a flow's document. Flows that were there before Spanflow have no trace."""
    return {"trace_url": template.replace("{trace_id}", flow_id)} if template and _TRACE_ID.fullmatch(flow_id) else {}
