"""The formats by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from spanflow.viewer_api.export.chrome_trace import ChromeTrace
from spanflow.viewer_api.export.exported_flow import FlowFormat
from spanflow.viewer_api.export.jaeger_json import JaegerJson
from spanflow.viewer_api.export.json_files import JsonArray, JsonLines
from spanflow.viewer_api.export.markdown import Markdown
from spanflow.viewer_api.export.otlp_json import OtlpJson
from spanflow.viewer_api.export.page import Page
from spanflow.viewer_api.export.step_table import StepTable

FORMATS: Final[Mapping[str, Callable[[], FlowFormat]]] = MappingProxyType(
    {
        "json": JsonArray,
        "jsonl": JsonLines,
        "csv": StepTable,
        "otlp": OtlpJson,
        "jaeger": JaegerJson,
        "chrome": ChromeTrace,
        "markdown": Markdown,
        "html": Page,
    }
)
#: A file of these holds one flow.
OF_ONE_FLOW: Final = frozenset({"html"})


def format_of(name: str, tokens: int) -> FlowFormat:
    return Markdown(tokens) if name == "markdown" else FORMATS[name]()
