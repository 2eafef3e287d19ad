"""Whose each flow is. A gateway serves the same people all day, so identities that were seen before are remembered."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from spanflow.span_processors import names
from spanflow.span_processors.encoding.open_flows import OpenFlow
from spanflow.span_processors.identity import NOBODY, Identity
from spanflow.span_processors.ids import id_or_none
from spanflow.span_processors.tree.flow_identity import said_in
from spanflow.span_processors.tree.identity_aliases import ALIASES, alias_values, identity_by_alias, joined_aliases

_REMEMBERED: Final = 4096
_SILENT: Final = (None, None, None)

#: The user, session and conversation under which a flow is found.
Users: TypeAlias = tuple[str | None, str | None, str | None]


class KnownIdentities:
    """Used by the encoder's thread only."""

    def __init__(self) -> None:
        self._said: dict[tuple[Any, ...], Identity] = {}
        self._users: dict[tuple[Any, ...], Users] = {}

    def learn(self, flow: OpenFlow, identity: Identity, attributes: Mapping[str, Any]) -> None:
        """Identity from the context or a call, and from attributes that some other library has set."""
        if attributes and not ALIASES.isdisjoint(attributes):
            self._learn_aliases(flow, attributes)
        ids = (
            attributes.get(names.ATTR_USER_ID),
            attributes.get(names.ATTR_FLOW_SESSION_ID),
            attributes.get(names.ATTR_CONVERSATION_ID),
        )
        is_repeated = ids == flow.last_said or ids == _SILENT
        if is_repeated and (identity is NOBODY or identity is flow.last_identity):
            return
        stated = flow.stated
        if not is_repeated:
            flow.last_said = ids
            stated = stated.merged(self.said_in(attributes))
        if identity is not NOBODY:
            flow.last_identity = identity
            # A context is as old as its connection; what is known of this flow itself is newer.
            stated = stated.merged(identity).merged(flow.told)
        flow.stated = stated
        self._identified(flow)

    def learn_from_span(
        self, flow: OpenFlow, identity: Identity, own: Mapping[str, Any], shared: Mapping[str, Any], tells_who: bool
    ) -> None:
        """Whose flow it is, if a span or its context says more of that than others did. `tells_who`: its own attributes
        say some of it. What spans share is looked at once."""
        if not shared or shared is flow.last_shared:
            if not tells_who and (identity is NOBODY or identity is flow.last_identity):
                return
        else:
            flow.last_shared = shared
        self.learn(flow, identity, {**shared, **own} if shared else own)

    def _learn_aliases(self, flow: OpenFlow, attributes: Mapping[str, Any]) -> None:
        aliases = joined_aliases(flow.aliases, alias_values(attributes))
        if aliases != flow.aliases:
            flow.aliases = aliases
            self._identified(flow)

    def _identified(self, flow: OpenFlow) -> None:
        flow.identity = identity_by_alias(flow.aliases).merged(flow.stated)
        flow.stream.users = self.users_of(flow.identity)

    def said_in(self, attributes: Mapping[str, Any]) -> Identity:
        """What a span's attributes say about its flow's owner."""
        say = attributes.get
        key = (
            say(names.ATTR_USER_ID),
            say(names.ATTR_FLOW_SESSION_ID),
            say(names.ATTR_CONVERSATION_ID),
            say(names.ATTR_USER_EMAIL),
            say(names.ATTR_USER_FULL_NAME),
            say(names.ATTR_SOURCE),
            say(names.ATTR_USER_TEAM),
        )
        try:
            cached = self._said.get(key)
        except TypeError:
            # A list, which is no id.
            return said_in(attributes)
        # 1, 1.0 and True are the same key, but not the same id.
        if cached is None or not all(value is None or type(value) is str for value in key):
            cached = said_in(attributes)
            if len(self._said) >= _REMEMBERED:
                self._said.clear()
            self._said[key] = cached
        return cached

    def users_of(self, identity: Identity) -> Users:
        """Ids become parts of keys, so what cannot serve as an id is not indexed."""
        key = (identity.user_id, identity.session_id or identity.conversation_id, identity.conversation_id)
        users = self._users.get(key)
        if users is None:
            if len(self._users) >= _REMEMBERED:
                self._users.clear()
            users = self._users[key] = (id_or_none(key[0]), id_or_none(key[1]), id_or_none(key[2]))
        return users
