"""Steps of running flows, as the viewer's API tells of them."""

from tests.support.viewer_server import RunningViewer


def states_of_running_steps(viewer: RunningViewer, needed: str) -> dict[str, str]:
    """The state of each step of the running flow that has a step of the type `needed`; empty while there is none."""
    for flow in viewer.get("/api/v1/flows", params={"outcome": "running"})["flows"]:
        spans = viewer.get(f"/api/v1/flows/{flow['flow_id']}/flat")["spans"]
        states = {span["event_type"]: span["state"] for span in spans if span["event_type"] != "span"}
        if needed in states:
            return states
    return {}
