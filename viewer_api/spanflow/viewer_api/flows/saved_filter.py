"""A search of flows as the dashboard has it in its address, and as the API is asked for it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import QueryParams

from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.flows.flow_query import KNOWN, flow_query
from spanflow.viewer_api.http.problems import invalid_request

MAX_LENGTH: Final = 4000
_RANGE: Final = "range"
_CONNECTIONS: Final = "connections"
_STEPLESS: Final = "stepless"
_SHOWN: Final = "show"
_NAMES: Final = (KNOWN - {"cursor", "limit", "count"}) | {_RANGE, _CONNECTIONS}
#: How long ago a list begins; None: it has no beginning. The dashboard's `RANGES` are the same.
_RANGES: Final = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "all": None,
}
_USUAL_RANGE: Final = "7d"

Filter = Mapping[str, Sequence[str]]


def parsed_filter(text: str, principal: Principal, now: datetime) -> Filter:
    """By parameter, its values; a problem for what the list of flows would refuse."""
    pairs = parse_qsl(text.removeprefix("?"))
    wanted: dict[str, list[str]] = {}
    for name, said in pairs:
        # As Postgres can keep it: it knows neither NUL nor half of a character.
        value = said.replace("\0", "").encode(errors="replace").decode()
        if name not in _NAMES:
            raise invalid_request(f"filter: {name[:50]} is no filter of flows. Known are {', '.join(sorted(_NAMES))}.")
        if value not in wanted.setdefault(name, []):
            wanted[name].append(value)
    # The dashboard has another word for it.
    if _SHOWN in wanted.pop(_STEPLESS, ()):
        wanted[_CONNECTIONS] = [_SHOWN]
    for name, known in ((_RANGE, _RANGES), (_CONNECTIONS, (_SHOWN,))):
        if any(value not in known for value in wanted.get(name, ())):
            raise invalid_request(f"filter: {name}: one of {', '.join(known)}.")
    flow_query(QueryParams(asked(wanted, now)), principal)
    return dict(sorted(wanted.items()))


def address(wanted: Filter) -> str:
    """As it stands in the address of the dashboard."""
    return urlencode(sorted(wanted.items()), doseq=True)


def asked(wanted: Filter, now: datetime) -> list[tuple[str, str]]:
    """The parameters of `/flows` that find the same: a list begins a week ago and has no open connections, unless it
    says otherwise."""
    pairs = [(name, value) for name, values in wanted.items() for value in values if name in KNOWN]
    if _CONNECTIONS not in wanted:
        pairs.append((_STEPLESS, "hide"))
    if "since" not in wanted and "until" not in wanted:
        length = _RANGES[next(iter(wanted.get(_RANGE, ())), _USUAL_RANGE)]
        if length is not None:
            pairs.append(("since", (now - length).isoformat()))
    return pairs
