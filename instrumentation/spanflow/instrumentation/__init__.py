"""What a gateway imports. Everything here works, as a no-op, in a process where Spanflow is off."""

from spanflow.instrumentation.activities import record_assistant_response as record_assistant_response
from spanflow.instrumentation.activities import record_tool_call as record_tool_call
from spanflow.instrumentation.activities import record_tool_response as record_tool_response
from spanflow.instrumentation.activities import record_user_message as record_user_message
from spanflow.instrumentation.activity_tracker import ActivityTracker as ActivityTracker
from spanflow.instrumentation.activity_tracker import get_activity_tracker as get_activity_tracker
from spanflow.instrumentation.asgi import EdgeMiddleware as EdgeMiddleware
from spanflow.instrumentation.checkpoint import Checkpoint as Checkpoint
from spanflow.instrumentation.checkpoint import checkpoint as checkpoint
from spanflow.instrumentation.checkpoint import current_checkpoint as current_checkpoint
from spanflow.instrumentation.checkpoint import start_checkpoint as start_checkpoint
from spanflow.instrumentation.configure import configure as configure
from spanflow.instrumentation.configure import shutdown as shutdown
from spanflow.instrumentation.flow import Flow as Flow
from spanflow.instrumentation.flow import flow as flow
from spanflow.instrumentation.flow_tracker import FlowTracker as FlowTracker
from spanflow.instrumentation.flow_tracker import get_flow_tracker as get_flow_tracker
from spanflow.instrumentation.identify import identify as identify
from spanflow.instrumentation.stream import checkpoint_stream as checkpoint_stream
