"""LiteLLM's proxy as people start it, `litellm --config …`, before a stand-in for the model provider."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.model_server import model_server
from tests.support.poll import eventually
from tests.support.real_gateways import answers, programs_of

UNDER_US = ("spanflow", "run", "--")


@dataclass(frozen=True)
class Callback:
    """One way to let LiteLLM make spans: its environment, and a line for `litellm_settings`."""

    environment: Mapping[str, str] = field(default_factory=dict)
    line: str = ""


_WITHOUT_OPENINFERENCE = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "litellm"}
_OWN = 'callbacks: ["otel"]'
AS_INSTALLED = Callback(_WITHOUT_OPENINFERENCE)
OPENINFERENCE = Callback()
FIRST_CALLBACK = Callback(
    {"USE_OTEL_LITELLM_REQUEST_SPAN": "true", "OTEL_EXPORTER": "console", **_WITHOUT_OPENINFERENCE}, _OWN
)
SECOND_CALLBACK = Callback({"LITELLM_OTEL_V2": "true", "OTEL_EXPORTER": "console", **_WITHOUT_OPENINFERENCE}, _OWN)

#: Keys, and whose they are, stand in `_CUSTOM_AUTH`.
ANN = "sk-f3a9c1d27b684e50a8d1c4b7e92f6035"
BEN = "sk-0b7de4c6a1f24938b5e6d7c8f9a0b1c2"
BLOCKED = "sk-3d5f7a9b1c2e4f60718293a4b5c6d7e8"
# It does not start without one.
_MASTER_KEY = "sk-7c1e5a90b3d24f6881f0e2d3c4b5a697"
#: Stands in every prompt, and so must be nowhere in what is recorded.
SECRET = "the-word-nobody-may-read"
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}

# Its documented way to bring one's own keys. Ben has asked all that he may.
_CUSTOM_AUTH = f"""
from litellm.proxy._types import ProxyException, UserAPIKeyAuth

KEYS = {{
    "{ANN}": UserAPIKeyAuth(api_key="{ANN}", user_id="ann"),
    "{BEN}": UserAPIKeyAuth(api_key="{BEN}", user_id="ben", max_parallel_requests=0),
}}

async def user_api_key_auth(request, api_key):
    if api_key == "{BLOCKED}":
        raise ProxyException(message="this key is blocked", type="auth_error", param="key", code=403)
    if api_key not in KEYS:
        raise Exception("this key is unknown")
    return KEYS[api_key].model_copy()
"""
_CONFIGURATION = """
model_list:
- model_name: gpt-4o
  litellm_params: {{model: openai/gpt-4o, api_base: "{provider}", api_key: none}}
guardrails:
- guardrail_name: no-explosives
  litellm_params:
    guardrail: litellm_content_filter
    mode: pre_call
    default_on: true
    blocked_words: [{{keyword: explosives, action: BLOCK}}]
litellm_settings:
  num_retries: 0
  {line}
general_settings:
  master_key: {master_key}
  custom_auth: custom_auth.user_api_key_auth
"""
_QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DISABLE_ADMIN_UI": "True"}


@contextmanager
def litellm_proxy(
    folder: Path,
    callback: Callback,
    environment: Mapping[str, str] = MappingProxyType({}),
    *,
    command: tuple[str, ...] = UNDER_US,
    arguments: tuple[str, ...] = (),
    provider: str | None = None,
    release: str = "litellm",
    more: str = "",
) -> Iterator[GatewayProcess]:
    """`arguments` are of its own command; without a `provider` it has one for itself; `release` is in requirements/.

    `more` are lines of its configuration, first of `general_settings`.
    """
    programs = programs_of(release)
    folder.mkdir()
    (folder / "custom_auth.py").write_text(_CUSTOM_AUTH)
    config = folder / "config.yaml"
    words = [*command, "litellm", "--config", str(config), "--port", "{port}", "--host", "127.0.0.1", *arguments]
    settings = {
        "HOME": str(folder),
        "SPANFLOW_DATA_DIR": str(folder / "data"),
        "SPANFLOW_FLOW_GRACE": "0.2",
        **_QUIET,
        **callback.environment,
        **environment,
    }
    with nullcontext(provider) if provider is not None else model_server() as address:
        text = _CONFIGURATION.format(provider=address, line=callback.line, master_key=_MASTER_KEY)
        config.write_text(text + more)
        with gateway_process(words, folder / "log", settings, programs=programs, within=150) as gateway:
            eventually(lambda: answers(f"{gateway.url}/health/liveliness"), within=100)
            yield gateway


def chat(
    gateway: GatewayProcess, text: str, key: str | None = ANN, *, patience: float = 60, **more: Any
) -> httpx.Response:
    """`more` is of the request's body."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    asked = asking(text, **more)
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers, timeout=patience)


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": f"{text} {SECRET}"}], **more}
