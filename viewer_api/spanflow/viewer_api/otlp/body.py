"""What a client sent, unpacked within a limit: a few kilobytes may unpack to gigabytes."""

import zlib
from typing import Final

#: `zlib`'s names for: a gzip header, a zlib header, none. Clients disagree about what "deflate" means.
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW: Final = -zlib.MAX_WBITS
_STEP: Final = 1024 * 1024

ENCODINGS: Final = ("gzip", "deflate", "identity")
#: Packed or not, as a message of gRPC comes: the library tells by which of these only inside the message's own bytes.
BY_GRPC: Final = "grpc"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZLIB_MAGIC: Final = b"x"


class UnreadableBody(ValueError):
    """It is not what its headers say."""


class BodyTooLarge(ValueError):
    """Unpacked it is larger than allowed."""


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding, which is one of `ENCODINGS`, or `BY_GRPC`."""
    if encoding == BY_GRPC:
        encoding = _encoding_in(body)
    if encoding == "identity":
        if len(body) > limit:
            raise BodyTooLarge
        return body
    if encoding == "gzip":
        return _inflated(body, _GZIP, limit)
    try:
        return _inflated(body, _ZLIB, limit)
    except UnreadableBody:
        return _inflated(body, _RAW, limit)


def _encoding_in(body: bytes) -> str:
    """No request of OTLP begins as packed ones do: its first field has another number."""
    if body.startswith(_GZIP_MAGIC):
        return "gzip"
    zlib_head = body.startswith(_ZLIB_MAGIC) and len(body) > 1 and not int.from_bytes(body[:2], "big") % 31
    return "deflate" if zlib_head else "identity"


def _inflated(body: bytes, window: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    rest = body
    while True:
        # A gzip file may have several members.
        stream = zlib.decompressobj(window)
        while rest and not stream.eof:
            try:
                piece = stream.decompress(rest, min(_STEP, limit - size + 1))
            except zlib.error as why:
                raise UnreadableBody(str(why)) from None
            size += len(piece)
            if size > limit:
                raise BodyTooLarge
            pieces.append(piece)
            rest = stream.unconsumed_tail
            if not piece and not rest:
                break
        if not stream.eof:
            raise UnreadableBody("it ends too early")
        rest = stream.unused_data
        if not rest or window != _GZIP:
            return b"".join(pieces)
