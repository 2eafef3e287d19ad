"""Which viewer a command talks to, and with which token. A token never comes from the command line: others see that."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from spanflow.cli.console import Console
from spanflow.cli.problem import Problem
from spanflow.cli.running_stack import running_directory
from spanflow.cli.terminal.client import ViewerClient
from spanflow.cli.terminal.terminal_settings import TerminalSettings
from spanflow.span_processors.shared_settings import SharedSettings

_LOOPBACK = ("127.", "localhost", "::1", "[::1]")


def add_arguments(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    parser.add_argument("--url", help="the viewer's address (SPANFLOW_URL); without it the one of `spanflow up`")
    parser.add_argument("--token-file", help="file with the access token (SPANFLOW_TOKEN_FILE)")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON object per line")


def client(arguments: argparse.Namespace, environ: Mapping[str, str], console: Console) -> ViewerClient:
    """The viewer that is named; else the one that `spanflow up` runs here, with its token; else the default address."""
    settings = TerminalSettings.from_environ(environ)
    url, token = arguments.url or settings.client_url, _token(arguments, settings)
    if not url:
        # The token of `spanflow up` is only for its own viewer.
        here = running_directory(SharedSettings.from_environ(environ), environ).viewer()
        url, token = (here[0], token or here[1]) if here else (_default_address(environ), token)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Problem(f"{url!r} is not the address of a viewer; write it like https://viewer.example.com.")
    if token and parts.scheme == "http" and not parts.hostname.startswith(_LOOPBACK):
        console.note(f"The token travels unencrypted to {parts.hostname}: use https:// where others share the network.")
    return ViewerClient(url, token)


def _default_address(environ: Mapping[str, str]) -> str:
    from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

    return f"http://127.0.0.1:{ViewerSettings.from_environ(environ).viewer_port}"


def _token(arguments: argparse.Namespace, settings: TerminalSettings) -> str:
    name = arguments.token_file or settings.client_token_file
    if not name or (settings.client_token and not arguments.token_file):
        return settings.client_token
    try:
        token = Path(name).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as why:
        raise Problem(f"the token cannot be read from {name}: {getattr(why, 'strerror', why)}.") from None
    if not token or not token.isascii() or not token.isprintable():
        raise Problem(f"{name} must hold one access token and nothing else.")
    return token
