"""A viewer's settings: validated by the viewer, whatever a gateway's say."""

import pytest

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


def test_defaults_need_no_environment() -> None:
    assert ViewerSettings.from_environ({}) == ViewerSettings()


def test_a_viewer_validates_its_own_settings_only() -> None:
    assert ViewerSettings.from_environ({"SPANFLOW_QUEUE_SPANS": "many", "SPANFLOW_CONTENT": "some"}) == ViewerSettings()


def test_mistakes_in_its_own_and_the_shared_ones_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        ViewerSettings.from_environ(
            {"SPANFLOW_VIEWER_PORT": "http", "SPANFLOW_VIEWER_DEFAULT_ROLE": "boss", "SPANFLOW_SCHEMA": "drop table;"}
        )
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "SPANFLOW_SCHEMA",
        "SPANFLOW_VIEWER_DEFAULT_ROLE",
        "SPANFLOW_VIEWER_PORT",
    ]
