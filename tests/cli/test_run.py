"""`spanflow run`: the command becomes a traced one, and nothing else about it changes."""

import json
import sys
from pathlib import Path

from tests.support.spanflow_command import spanflow

BESIDE_PYTHON = Path(sys.executable).parent
TELL = "import json, os, sys; print(json.dumps([sys.argv[1:], {k: os.environ.get(k) for k in sys.argv[1].split()}]))"
TELL_TRACING = (
    "from opentelemetry import trace; print([type(p).__name__ for p in "
    "trace.get_tracer_provider()._active_span_processor._span_processors])"
)


def environment_of(command: list[str], names: str, **settings: str) -> dict[str, str | None]:
    done = spanflow("run", *command, sys.executable, "-c", TELL, names, **settings)
    assert done.returncode == 0, done.stderr
    told: dict[str, str | None] = json.loads(done.stdout)[1]
    return told


def test_the_command_is_switched_on_with_our_distro(tmp_path: Path) -> None:
    names = "SPANFLOW_ENABLED OTEL_PYTHON_DISTRO OTEL_PYTHON_CONFIGURATOR SPANFLOW_REDIS_URL"
    assert environment_of(["--"], names, SPANFLOW_DATA_DIR=str(tmp_path)) == {
        "SPANFLOW_ENABLED": "true",
        "OTEL_PYTHON_DISTRO": "spanflow",
        "OTEL_PYTHON_CONFIGURATOR": "spanflow",
        "SPANFLOW_REDIS_URL": None,
    }


def test_what_is_set_already_stays(tmp_path: Path) -> None:
    own = {
        "OTEL_PYTHON_DISTRO": "another",
        "SPANFLOW_REDIS_URL": "redis://mine:1/0",
        "SPANFLOW_DATA_DIR": str(tmp_path),
    }
    assert environment_of([], "OTEL_PYTHON_DISTRO SPANFLOW_REDIS_URL", **own) == {
        "OTEL_PYTHON_DISTRO": "another",
        "SPANFLOW_REDIS_URL": "redis://mine:1/0",
    }


def test_its_spans_go_through_our_processor(tmp_path: Path) -> None:
    done = spanflow("run", "--", sys.executable, "-c", TELL_TRACING, SPANFLOW_DATA_DIR=str(tmp_path))
    assert "'FlowSpanProcessor'" in done.stdout, done.stderr


def test_its_exit_code_is_the_commands(tmp_path: Path) -> None:
    done = spanflow("run", "--", sys.executable, "-c", "raise SystemExit(7)", SPANFLOW_DATA_DIR=str(tmp_path))
    assert done.returncode == 7


def test_a_command_that_is_not_there_or_not_given_is_said_so() -> None:
    assert spanflow("run").stderr == "spanflow: say what to run, for example: spanflow run -- uvicorn app:app\n"
    missing = spanflow("run", "--", "no-such-gateway").stderr
    assert missing == f"spanflow: there is no program 'no-such-gateway' on PATH, nor in {BESIDE_PYTHON}.\n"


def test_programs_beside_our_own_python_are_found_though_its_environment_is_not_active(tmp_path: Path) -> None:
    done = spanflow("run", "--", "uvicorn", "--version", SPANFLOW_DATA_DIR=str(tmp_path), PATH="/usr/bin:/bin")
    assert done.stdout.startswith("Running uvicorn "), done.stderr


def test_options_of_the_command_are_its_own(tmp_path: Path) -> None:
    """`litellm --config x` and `gunicorn --config x` are what people write."""
    tell = "import sys; print(sys.argv[1:])"
    program = tmp_path / "gateway"
    program.write_text(f"#!{sys.executable}\n{tell}\n")
    program.chmod(0o755)
    done = spanflow("run", "--", str(program), "--config", "x", "--version", SPANFLOW_DATA_DIR=str(tmp_path))
    assert done.stdout == "['--config', 'x', '--version']\n", done.stderr


def test_a_mistake_in_a_viewers_setting_does_not_untrace_a_gateway(tmp_path: Path) -> None:
    others = {"SPANFLOW_VIEWER_PORT": "http", "SPANFLOW_VIEWER_DEFAULT_ROLE": "boss", "SPANFLOW_LOG_LEVEL": "loud"}
    done = spanflow(
        "run", "--quiet", "--", sys.executable, "-c", TELL_TRACING, SPANFLOW_DATA_DIR=str(tmp_path), **others
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "'FlowSpanProcessor'" in done.stdout


def test_a_wrong_setting_is_named_and_the_gateway_still_starts(tmp_path: Path) -> None:
    done = spanflow("run", "--", "echo", "serving", SPANFLOW_QUEUE_SPANS="many", SPANFLOW_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "serving\n")
    assert done.stderr.startswith(
        "spanflow: these settings cannot be used, so echo runs untraced:\nSPANFLOW_QUEUE_SPANS: "
    )
