"""A span's name as a text."""


def name_of(name: object) -> str:
    """A text in OpenTelemetry's API, and whatever applications pass for one; never `str` of an unknown object."""
    if type(name) is str:
        return name
    if isinstance(name, str):
        return str.__str__(name)
    if isinstance(name, bytes | bytearray):
        return bytes(name[:256]).decode("utf-8", "replace")
    if name is None or isinstance(name, bool | float) or (isinstance(name, int) and name.bit_length() <= 256):
        return str(name)
    return f"[{type(name).__name__}]"
