"""One table of settings, validated at once, with messages that say what to change."""

import pytest

from spanflow.span_processors.setting_table import SettingsError
from spanflow.span_processors.settings import Settings


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_environ({})
    assert settings == Settings()
    assert not settings.enabled


def test_every_mistake_is_named_at_once_and_secrets_are_not_repeated() -> None:
    environ = {
        "SPANFLOW_ENABLED": "maybe",
        "SPANFLOW_REDIS_URL": "http://:hunter2@host",
        "SPANFLOW_MAX_VALUE_LENGTH": "10",
        "SPANFLOW_SCHEMA": "drop table;",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ(environ)
    message = str(caught.value)
    assert "SPANFLOW_ENABLED: 'maybe' cannot be used; use true or false." in message
    assert "SPANFLOW_MAX_VALUE_LENGTH: '10' cannot be used; use a whole number from 64 to 1000000." in message
    assert "SPANFLOW_SCHEMA" in message
    assert "SPANFLOW_REDIS_URL: its value cannot be used; start it with one of redis://" in message
    assert "hunter2" not in message


def test_an_empty_variable_counts_as_not_set() -> None:
    assert Settings.from_environ({"SPANFLOW_SCHEMA": "  "}).schema == "omni2"


def test_older_names_are_honoured_and_ours_win() -> None:
    assert not Settings.from_environ({"REDIS_ENABLED": "false"}).mirror_enabled
    assert Settings.from_environ({"REDIS_ENABLED": "false", "SPANFLOW_REDIS_ENABLED": "true"}).mirror_enabled


def test_passwords_are_not_in_the_representation() -> None:
    assert "hunter2" not in repr(Settings(postgres_dsn="postgresql://bob:hunter2@db/x"))


def test_a_gateway_validates_its_own_settings_only() -> None:
    assert Settings.from_environ({"SPANFLOW_VIEWER_PORT": "http", "SPANFLOW_USERS_VIEW": "a.b.c"}) == Settings()
