"""Serves the built dashboard: one page, whose own addresses are relative, so that it works below any folder of a
reverse proxy."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

_NOT_BUILT: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Spanflow</title>
<h1>The dashboard was not built</h1>
<p>The viewer's API works, but this installation has no dashboard in it. In a checkout, run <code>make web</code>
and reload this page. An installed wheel always has one.</p></html>
"""
_HASHED: Final = "public, max-age=31536000, immutable"


def built_dashboard() -> Path:
    """The folder that the build fills. It may be empty in a checkout."""
    return Path(str(files("spanflow.viewer_api").joinpath("dashboard")))


class DashboardFiles:
    """Files of one folder, and its `index.html` for the folder itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def serve(self, request: Request, path: str) -> Response:
        if request.method not in {"GET", "HEAD"}:
            raise HTTPException(405)
        file = self._file(path)
        if file is not None:
            headers = {"Cache-Control": _HASHED if path.startswith("assets/") else "no-cache"}
            return FileResponse(file, headers=headers)
        # The page has one address, and its parts stand behind the `#`. A probe of `/health` must not be told that all
        # is well, nor a browser be given the page where a script should be.
        if path:
            raise HTTPException(404, "There is nothing at this address.")
        return self._index()

    def _file(self, path: str) -> Path | None:
        if not path or path == "index.html" or "\0" in path:
            return None
        try:
            file = (self._folder / path).resolve()
            return file if file.is_relative_to(self._folder) and file.is_file() else None
        except (OSError, ValueError, RuntimeError):
            # A name that the file system does not take, such as one of 256 characters.
            return None

    def _index(self) -> Response:
        try:
            page = (self._folder / "index.html").read_text()
        except OSError:
            return HTMLResponse(_NOT_BUILT, 503)
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})
