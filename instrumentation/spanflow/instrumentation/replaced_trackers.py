"""Puts our trackers in the place of a gateway's own ones as their modules are imported: not a line of it changes.

The settings name the gateway's classes by dotted path. Where a module also keeps an instance of its class
(`flow_tracker = FlowTracker(redis)`), that is replaced as well, and so functions that give it out do the right thing.
"""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Final

import wrapt

from spanflow.instrumentation.activity_tracker import ActivityTracker, get_activity_tracker
from spanflow.instrumentation.flow_tracker import FlowTracker, get_flow_tracker
from spanflow.instrumentation.runtime import logger
from spanflow.span_processors.encoding.gateway_presets import PRESETS
from spanflow.span_processors.settings import Settings

_ABSENT: Final = object()


class ReplacedTrackers:
    """What was replaced where, so that it can be put back."""

    def __init__(self, settings: Settings) -> None:
        preset = next((one for one in PRESETS if one.name == settings.gateway), None)
        flows, activities = set(settings.replace_flow_tracker), set(settings.replace_activity_tracker)
        if preset is not None:
            flows |= {preset.flow_tracker} - {""}
            activities |= {preset.activity_tracker} - {""}
        self._wanted: list[tuple[str, type, Callable[[], Any]]] = [
            *((path, FlowTracker, get_flow_tracker) for path in sorted(flows)),
            *((path, ActivityTracker, get_activity_tracker) for path in sorted(activities)),
        ]
        self._before: list[tuple[ModuleType, str, Any]] = []
        self._active = False

    def install(self) -> None:
        """Replace now what is imported already, and the rest as it is imported."""
        self._active = True
        for path, ours, give_out in self._wanted:
            module_name, _, attribute = path.rpartition(".")
            if not module_name:
                logger.warning("%r names no class to replace; write it as package.module.Class", path)
                continue
            wrapt.register_post_import_hook(partial(self._imported, attribute, ours, give_out), module_name)

    def remove(self) -> None:
        """Put back what was there; what is imported from now on is left alone."""
        self._active = False
        for module, name, value in reversed(self._before):
            setattr(module, name, value)
        self._before.clear()

    def _imported(self, attribute: str, ours: type, give_out: Callable[[], Any], module: ModuleType) -> None:
        """Runs inside the gateway's own `import` statement, so nothing may be raised."""
        try:
            if self._active:
                self._replace(module, attribute, ours, give_out)
        except Exception:
            logger.exception("%s.%s could not be replaced", module.__name__, attribute)

    def _replace(self, module: ModuleType, attribute: str, ours: type, give_out: Callable[[], Any]) -> None:
        theirs = getattr(module, attribute, _ABSENT)
        if theirs is _ABSENT:
            logger.warning("%s has no %s to replace", module.__name__, attribute)
            return
        if isinstance(theirs, type):
            for name, value in list(vars(module).items()):
                if type(value) is theirs:
                    self._set(module, name, give_out())
            self._set(module, attribute, ours)
        elif callable(theirs):
            self._set(module, attribute, give_out)
        else:
            self._set(module, attribute, give_out())
        # Not an "info": most gateways show none of other libraries, and their operator must know.
        logger.warning("Replaced %s.%s with Spanflow's %s", module.__name__, attribute, ours.__name__)

    def _set(self, module: ModuleType, name: str, value: Any) -> None:
        self._before.append((module, name, getattr(module, name)))
        setattr(module, name, value)
