"""The API's reference as one page of HTML, made of the OpenAPI document: no script, and nothing from another host."""

import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any, Final

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from spanflow.viewer_api.auth.route_access import Public
from spanflow.viewer_api.viewer import Needs

router = APIRouter(include_in_schema=False)

#: Addresses on the page are relative to it, so that it works below any folder of a reverse proxy.
_STYLE: Final = "docs/style.css"
_DOCUMENT: Final = "api/v1/openapi.json"
_CODE: Final = re.compile(r"`([^`]*)`")
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})

Document = dict[str, Any]


@router.get("/docs", dependencies=[Depends(Needs(None))])
def reference(request: Request) -> Response:
    """Every route with its parameters, bodies and answers, for people."""
    state = request.app.state
    if getattr(state, "reference_page", None) is None:
        state.reference_page = page(request.app.openapi())
    return HTMLResponse(state.reference_page, headers={"Cache-Control": "no-cache"})


@router.get("/docs/style.css", dependencies=[Depends(Public())])
def style() -> Response:
    """How the page looks."""
    text = files(__package__).joinpath("reference_page.css").read_text()
    return Response(text, headers={"Cache-Control": "no-cache"}, media_type="text/css")


def page(document: Document) -> str:
    """The document as HTML."""
    by_tag: dict[str, list[tuple[str, str, Document]]] = {}
    for path, item in document["paths"].items():
        for method in sorted(_METHODS.intersection(item)):
            tag = next(iter(item[method].get("tags", ())), "other")
            by_tag.setdefault(tag, []).append((method.upper(), path, item[method]))
    schemas = document.get("components", {}).get("schemas", {})
    title = escape(document["info"]["title"])
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}: API</title>",
            f'<link rel="icon" href="data:,"><link rel="stylesheet" href="{_STYLE}"></head><body>',
            f"<h1>{title}: API</h1><p>{_prose(document['info'].get('description', ''))}</p>",
            f'<p>For programs: <a href="{_DOCUMENT}">openapi.json</a></p><nav><ul>',
            *(_link(method, path) for operations in by_tag.values() for method, path, _ in operations),
            "</ul></nav>",
            *(
                f"<h2>{escape(tag)}</h2>" + "".join(_operation(*operation, schemas) for operation in operations)
                for tag, operations in by_tag.items()
            ),
            "</body></html>",
        )
    )


def _operation(method: str, path: str, operation: Document, schemas: Document) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    return "".join(
        (
            f'<section id="{_anchor(method, path)}"><h3>{method} {escape(path)}</h3>',
            f"<p>{_prose(operation.get('description') or operation.get('summary', '') + '.')}</p>",
            _table(_parameter(parameter) for parameter in operation.get("parameters", ())),
            *(_json("Body", _resolved(content.get("schema", {}), schemas)) for content in body.values()),
            *(_examples("Example of a body", content) for content in body.values()),
            _table(_answer(status, response) for status, response in sorted(operation["responses"].items())),
            *(
                _examples(f"Example of an answer, {status}", content)
                for status, response in sorted(operation["responses"].items())
                for content in response.get("content", {}).values()
            ),
            "</section>",
        )
    )


def _parameter(parameter: Document) -> tuple[str, str, str]:
    where = parameter["in"] + (", required" if parameter.get("required") else "")
    return f"<code>{escape(parameter['name'])}</code>", escape(where), _prose(parameter.get("description", ""))


def _answer(status: str, response: Document) -> tuple[str, str, str]:
    return escape(status), escape(", ".join(response.get("content", ()))), _prose(response.get("description", ""))


def _table(rows: Iterator[tuple[str, str, str]]) -> str:
    lines = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
    return f"<table>{lines}</table>" if lines else ""


def _examples(title: str, content: Document) -> str:
    return "".join(
        _json(f"{title}: {example.get('summary', '')}", example["value"])
        for example in content.get("examples", {}).values()
    )


def _json(title: str, value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def _resolved(schema: Any, schemas: Document) -> Any:
    """The schema with those that it names in their places. Ours name none that names itself."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _resolved(schemas[schema["$ref"].rpartition("/")[2]], schemas)
        return {key: _resolved(value, schemas) for key, value in schema.items()}
    return [_resolved(value, schemas) for value in schema] if isinstance(schema, list) else schema


def _prose(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text)).replace("\n\n", "<br><br>")


def _link(method: str, path: str) -> str:
    return f'<li><a href="#{_anchor(method, path)}">{method} {escape(path)}</a></li>'


def _anchor(method: str, path: str) -> str:
    return method.lower() + re.sub(r"[^a-z0-9]+", "-", path.lower()).rstrip("-")
