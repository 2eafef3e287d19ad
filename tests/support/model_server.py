"""A stand-in for model providers: an HTTP server like OpenAI's and Anthropic's, a process of its own.

What the last message says decides what it does: «fail» answers 500, «busy» 429, «hang» never answers, «tool» asks for
a tool, «trickle» streams with a long pause after each word; anything else is answered. It runs in any environment, with
the standard library only.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ANSWER = "The answer is 42."
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}


class Provider(BaseHTTPRequestHandler):
    """`POST …/chat/completions`, `…/embeddings` and `…/messages` (Anthropic); `GET` lists one model."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer(200, {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "owned_by": "tests"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))) or b"{}")
        if self.path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2, 0.3]}]
            self._answer(200, {"object": "list", "model": asked.get("model"), "data": data, "usage": USAGE})
            return
        if self.path.endswith("/messages"):
            content = [{"type": "text", "text": ANSWER}]
            usage = {"input_tokens": 11, "output_tokens": 7}
            head = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked.get("model")}
            self._answer(200, {**head, "content": content, "stop_reason": "end_turn", "usage": usage})
            return
        said = json.dumps((asked.get("messages") or [{}])[-1].get("content") or "")
        if "fail" in said:
            self._answer(500, {"error": {"message": "the model is out of order", "type": "server_error", "code": None}})
        elif "busy" in said:
            self._answer(429, {"error": {"message": "too many requests", "type": "rate_limit_error", "code": None}})
        elif "hang" in said:
            threading.Event().wait(600)
        elif asked.get("stream"):
            self._stream(asked, said)
        else:
            wants_tool = "tool" in said
            message: dict[str, Any] = {"role": "assistant", "content": None if wants_tool else ANSWER}
            if wants_tool:
                message["tool_calls"] = [TOOL_CALL]
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if wants_tool else "stop"}
            self._answer(200, {**_head(asked, "chat.completion"), "choices": [choice], "usage": USAGE})

    def _stream(self, asked: dict[str, Any], said: str) -> None:
        head = _head(asked, "chat.completion.chunk")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        wants_tool = "tool" in said
        if wants_tool:
            deltas: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [{"index": 0, **TOOL_CALL}]}]
        else:
            deltas = [{"role": "assistant", "content": word + " "} for word in ANSWER.split(" ")]
        for delta in deltas:
            self._event({**head, "choices": [{"index": 0, "delta": delta}]})
            if "trickle" in said:
                threading.Event().wait(20)
        reason = "tool_calls" if wants_tool else "stop"
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        self._event({**head, "choices": [], "usage": USAGE})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, chunk: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _head(asked: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_760_000_000, "model": asked.get("model", "gpt-4o")}


@contextmanager
def model_server() -> Iterator[str]:
    """The base address of a running provider, as `OPENAI_BASE_URL` wants it."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
