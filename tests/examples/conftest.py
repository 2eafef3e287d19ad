"""The example gateway as a process of its own, started as its README says."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.gateway_process import CHECKOUT, GatewayProcess, gateway_process

FOLDER = CHECKOUT / "examples" / "gateway"
Start = Callable[..., GatewayProcess]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts gateways that go when the module's tests have run."""
    with ExitStack() as stack:

        def run(*before: str, **environment: str) -> GatewayProcess:
            command = [*before, "uvicorn", "example_gateway.app:app", "--port", "{port}", "--log-level", "warning"]
            log: Path = tmp_path_factory.mktemp("gateway") / "log"
            environment = {"EXAMPLE_GATEWAY_PACE": "0.02", **environment}
            return stack.enter_context(gateway_process(command, log, python_path=[FOLDER], environment=environment))

        yield run
