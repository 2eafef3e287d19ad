"""What a gateway imports. Everything here works, as a no-op, in a process where Spanflow is off."""

from spanflow.instrumentation.checkpoint import Checkpoint as Checkpoint
from spanflow.instrumentation.checkpoint import checkpoint as checkpoint
from spanflow.instrumentation.checkpoint import current_checkpoint as current_checkpoint
from spanflow.instrumentation.checkpoint import start_checkpoint as start_checkpoint
from spanflow.instrumentation.flow import Flow as Flow
from spanflow.instrumentation.flow import flow as flow
from spanflow.instrumentation.identify import identify as identify
from spanflow.instrumentation.stream import checkpoint_stream as checkpoint_stream
