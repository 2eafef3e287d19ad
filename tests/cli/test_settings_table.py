"""`spanflow settings`: every setting, what it is now, and never a secret."""

from spanflow.cli import settings_table
from spanflow.span_processors.settings import rows
from tests.support.spanflow_command import spanflow


def test_every_setting_is_in_both_forms() -> None:
    plain, page = settings_table.plain({}), settings_table.markdown()
    for row in rows():
        assert f"  {row.metadata['env']} = " in plain
        assert f"| `{row.metadata['env']}` |" in page


def test_a_secret_is_never_shown() -> None:
    done = spanflow("settings", SPANFLOW_POSTGRES_DSN="postgresql://me:hunter2@db/flows")
    assert "hunter2" not in done.stdout
    assert "SPANFLOW_POSTGRES_DSN = (set, not shown)   [from SPANFLOW_POSTGRES_DSN]" in done.stdout


def test_an_older_name_is_shown_as_the_source() -> None:
    assert "SPANFLOW_REDIS_ENABLED = false   [from REDIS_ENABLED]" in settings_table.plain({"REDIS_ENABLED": "false"})
