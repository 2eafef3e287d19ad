"""Running flows of users who are watched without contents: pages show of them what live sockets show, and no more."""

from dataclasses import dataclass, replace

from spanflow.span_processors.event.metadata import Metadata
from spanflow.span_processors.tree import flow_data
from spanflow.viewer_api.auth.permissions import Principal
from spanflow.viewer_api.documents import Flow
from spanflow.viewer_api.watching import Watching


@dataclass(frozen=True, slots=True)
class Withheld:
    """For one request. Nobody's own flows are kept from them; they would learn that somebody watches."""

    watching: Watching
    metadata: Metadata
    principal: Principal

    def of(self, user_id: str | None) -> bool:
        """Whether of this user's running flows only metadata may be seen."""
        if user_id is not None and user_id == self.principal.user_id:
            return False
        return self.watching.withholds(user_id)

    def running(self, flow: Flow) -> Flow:
        """A flow that is not over yet, as it may be seen."""
        if not self.of(flow.user_id):
            return flow
        events = [self.metadata.event(entry) for entry in flow_data.read(flow.document).entries()]
        return replace(flow, document={**flow.document, "events": events})
