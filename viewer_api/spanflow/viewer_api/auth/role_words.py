"""What the role words of a proxy or an identity provider mean here."""

from collections.abc import Iterable

from spanflow.viewer_api.auth.permissions import Role
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings

_RANK = {Role.VIEWER: 0, Role.MONITOR: 1, Role.ADMIN: 2}
_NONE = "none"


class RoleWords:
    """The mapping of the settings, and the default for whom no known word is said."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._meanings: dict[str, Role | None] = {role.value: role for role in Role}
        for word, meaning in settings.viewer_roles:
            self._meanings[word.casefold()] = None if meaning == _NONE else Role(meaning)
        default = settings.viewer_default_role
        self._default = None if default == _NONE else Role(default)

    def role(self, words: Iterable[str]) -> Role | None:
        """The highest role that one of `words` means; None when they let nobody in."""
        known = [key for word in words if (key := word.strip().casefold()) in self._meanings]
        if not known:
            return self._default
        roles = [role for key in known if (role := self._meanings[key]) is not None]
        return max(roles, key=_RANK.__getitem__, default=None)
