"""The OpenAPI document: what FastAPI finds out by itself, and what every route has in common.

Examples are real answers: `scripts/generate_api_examples.py` sends the requests of `docs/api*.md` to a viewer and
writes down what it says.
"""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

EXAMPLES: Final = "openapi_examples.json"
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_PROBLEM: Final = "application/problem+json"
_DESCRIPTION: Final = """\
Who is watched, what their requests do now and did before. Ids are opaque strings of at most 128 characters; one that is
a whole number is written as a JSON number. Times are ISO 8601 in UTC. Errors are problem details (RFC 9457) with a
`code` that never changes.
"""
_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "title": "Problem",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Always `about:blank`; `code` tells problems apart."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "What happened, as a word that never changes."},
        "detail": {"type": "string", "description": "What happened, for people."},
        "errors": {
            "type": "array",
            "description": "Each thing that is wrong with a request: where, and why.",
            "items": {
                "type": "object",
                "properties": {"where": {"type": "string"}, "why": {"type": "string"}},
            },
        },
    },
}
#: What may go wrong with any request, by status.
_EVERYWHERE: Final = {
    "401": "Not signed in.",
    "403": "Signed in, but not allowed to do this.",
    "414": "The address with its parameters is too long.",
    "429": "Too many requests.",
    "503": "A server that is needed is away, or the query took too long; try again.",
}
_WITH_INPUT: Final = {"422": "A parameter or the body cannot be used."}
_WITH_BODY: Final = {
    "400": "The body cannot be read.",
    "404": "Something that it names is not there.",
    "413": "The body is too large.",
}
_WITH_PATH: Final = {"404": "There is no such thing, or it may not be seen."}
#: What parameters mean that several routes have. A route may say it better itself.
_PARAMETERS: Final = {
    "user_id": "Id of the user.",
    "session_id": "Id of the session.",
    "conversation_id": "Id of the conversation.",
    "flow_id": "Id of the flow: its trace id, 32 hexadecimal digits.",
    "activity_id": "Id of the activity.",
    "rule_id": "Id of the alert rule.",
    "channel_id": "Id of the channel.",
    "filter_id": "Id of the saved filter.",
    "note_id": "Id of the note.",
    "link_id": "Id of the link, which is not its token.",
    "limit": "How many at most; a larger number than the route allows counts as the largest allowed.",
    "cursor": "`next` of the page before; left out for the first page.",
    "before": "`next` of the page before; left out for the first page.",
    "source": "Only flows that came this way, such as `web`.",
    "outcome": "Only flows that ended so: ok, denied, error, cancelled or interrupted.",
    "q": "Words to be found: parts of names, tools, models, errors.",
    "since": "From this moment on: ISO 8601, a date, or seconds since 1970.",
    "until": "Up to this moment: ISO 8601, a date (the whole day), or seconds since 1970.",
    "date_from": "From this moment on: ISO 8601, a date, or seconds since 1970.",
    "date_to": "Up to this moment: ISO 8601, a date (the whole day), or seconds since 1970.",
    "mcp_server": "Only what has to do with this MCP server.",
    "tool": "Only what has to do with this tool.",
    "model": "Only what has to do with this model.",
    "min_tool_calls": "Only conversations with so many tool calls at least.",
    "min_tokens": "Only what took so many tokens at least.",
    "turns_limit": "How many turns at most, the newest.",
    "count": "none (as if left out), estimated or exact: whether to say how many match.",
    "last-event-id": "The id of the last event that came, to go on from there.",
    "actor": "Only what this person did.",
    "ttl_hours": "Hours from now after which the watch ends.",
    "reason": "Why, for the audit log.",
}

Document = dict[str, Any]


def install(app: FastAPI) -> None:
    """Let `app` describe itself so. The document is made when it is first asked for."""

    def described() -> Document:
        if app.openapi_schema is None:
            app.openapi_schema = document(app, examples())
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def examples() -> dict[str, list[dict[str, Any]]]:
    """Requests and their answers by `METHOD /path/{template}`."""
    stored_examples: dict[str, list[dict[str, Any]]] = orjson.loads(files(__package__).joinpath(EXAMPLES).read_bytes())
    return stored_examples


def document(app: FastAPI, known: dict[str, list[dict[str, Any]]]) -> Document:
    whole = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_DESCRIPTION)
    components = whole.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An access token or a JWT."}
    }
    whole["security"] = [{"token": []}]
    for name, operation in operations(whole):
        _tell(operation)
        _add_problems(operation)
        for number, example in enumerate(known.get(name, ()), 1):
            _add_example(operation, str(number), example)
    return whole


def operations(whole: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation of a document with its name, `METHOD /path/{template}`."""
    for path, item in whole["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield f"{method.upper()} {path}", operation


def _tell(operation: dict[str, Any]) -> None:
    """The docstring's first sentence is the summary; the parameters are explained."""
    if text := operation.pop("description", ""):
        first, _, rest = text.partition("\n\n")
        sentence, stop, more = " ".join(first.split()).partition(". ")
        operation["summary"] = sentence.removesuffix(".")
        if more or rest:
            operation["description"] = "\n\n".join(part for part in (sentence + stop + more, rest.strip()) if part)
    for parameter in operation.get("parameters", ()):
        if "description" not in parameter and parameter["name"] in _PARAMETERS:
            parameter["description"] = _PARAMETERS[parameter["name"]]


def _add_problems(operation: dict[str, Any]) -> None:
    possible = dict(_EVERYWHERE)
    if "parameters" in operation or "requestBody" in operation:
        possible |= _WITH_INPUT
    if "requestBody" in operation:
        possible |= _WITH_BODY
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
        possible |= _WITH_PATH
    responses = operation["responses"]
    # FastAPI's own description of a request that cannot be used is not what we answer.
    responses.pop("422", None)
    for status, why in possible.items():
        responses.setdefault(status, {"description": why})
    for status, response in responses.items():
        if status >= "400":
            response.setdefault("content", _problem_response("")["content"])


def _problem_response(why: str) -> dict[str, Any]:
    return {"description": why, "content": {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _add_example(operation: dict[str, Any], number: str, example: dict[str, Any]) -> None:
    """One real request and its answer."""
    responses = operation["responses"]
    for parameter in operation.get("parameters", ()):
        value = example["parameters"].get(parameter["name"])
        if value is not None and example["status"] < 300:
            parameter.setdefault("example", value)
    for body in operation.get("requestBody", {}).get("content", {}).values():
        if example["body"] is not None:
            body.setdefault("examples", {})[number] = {"summary": example["request"], "value": example["body"]}
    status = str(example["status"])
    if status == "204":
        responses.pop("200", None)
    response = responses.setdefault(status, _problem_response("A problem.") if status >= "400" else {"description": ""})
    response["description"] = response["description"].replace("Successful Response", "Done.") or "Done."
    if example["answer"] is not None:
        kind = _PROBLEM if status >= "400" else "application/json"
        content = response.setdefault("content", {}).setdefault(kind, {"schema": {}})
        content.setdefault("examples", {})[number] = {"summary": example["request"], "value": example["answer"]}
