"""A viewer behind a real uvicorn, and clients that know its token."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from spanflow.viewer_api.app import create_app
from spanflow.viewer_api.operations.server import ViewerServer
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings
from tests.support.asgi_server import serving

TOKEN = "a-token-for-tests-0123456789"


@dataclass(frozen=True)
class RunningViewer:
    """Where it is. `http` sends the access token, `stranger` sends nothing."""

    address: str
    settings: ViewerSettings
    http: httpx.Client
    stranger: httpx.Client
    app: Any

    @property
    def origin(self) -> str:
        return f"http://{self.address}"

    @property
    def ws(self) -> str:
        return f"ws://{self.address}"

    def get(self, path: str, **options: Any) -> Any:
        """The JSON that the API answers; an AssertionError for any error."""
        response = self.http.get(path, **options)
        assert response.status_code == 200, (response.status_code, response.text)
        return response.json()

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        response = self.http.post(path, json=body, **options)
        assert response.status_code == 200, (response.status_code, response.text)
        return response.json()


@contextmanager
def running_viewer(
    postgres_dsn: str,
    redis_url: str,
    data_dir: Path,
    *,
    dashboard: Path | None = None,
    clock: Any = None,
    server: dict[str, Any] | None = None,
    **changes: Any,
) -> Iterator[RunningViewer]:
    """`server` are options of uvicorn, such as the protocol that `spanflow serve` has."""
    settings = dataclasses.replace(
        ViewerSettings(
            postgres_dsn=postgres_dsn,
            redis_url=redis_url,
            data_dir=str(data_dir),
            viewer_token=TOKEN,
            viewer_recheck_seconds=0.3,
            viewer_heartbeat_seconds=5.0,
        ),
        **changes,
    )
    app = create_app(settings, dashboard=dashboard, **({"clock": clock} if clock else {}))

    def stopping_well(config: uvicorn.Config) -> uvicorn.Server:
        return ViewerServer(config, settings.viewer_stop_seconds)

    options = {"proxy_headers": False, "ws_per_message_deflate": False, **(server or {})}
    with serving(app, make_server=stopping_well, **options) as address:
        base = f"http://{address}"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=base, headers=bearer, timeout=15) as http, httpx.Client(base_url=base) as stranger:
            yield RunningViewer(address, app.state.settings, http, stranger, app)
