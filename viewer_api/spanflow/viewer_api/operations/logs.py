"""How the viewer's log is written: lines for people, or one JSON object per line. What is said beside the sentence
(`extra=`) stands there as fields of its own."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import orjson

_ORDINARY: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
#: The server's own words about sockets, which hold the whole address; ours say more, and no query.
_REPEATED: Final = ('%s - "WebSocket', "connection open", "connection closed", "connection rejected")


class JsonLines(logging.Formatter):
    """One object per line: `time`, `level`, `logger`, `message`, the fields, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **dict(_fields(record)),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS).decode()


class TextLines(logging.Formatter):
    """The sentence, and its fields as `name=value`. What strangers wrote cannot begin a line of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        fields = " ".join(f"{name}={_word(value)}" for name, value in _fields(record) if value is not None)
        return _printable(f"{line}  {fields}" if fields else line)


def configure(style: str, level: str) -> None:
    """Let this process log so, on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    handler.addFilter(_is_news)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _is_news(record: logging.LogRecord) -> bool:
    return record.name != "uvicorn.error" or not str(record.msg).startswith(_REPEATED)


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in vars(record).items():
        if name not in _ORDINARY:
            yield name, value


def _word(value: Any) -> str:
    """A value in which no other can begin: paths and names are written by strangers."""
    text = str(value)
    if not text or any(char in ' "=' for char in text):
        text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    return text


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
