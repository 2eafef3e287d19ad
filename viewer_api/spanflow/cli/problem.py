"""What a command cannot do, in a sentence for the person who typed it."""


class Problem(RuntimeError):
    """Printed without a traceback; the message says what to change. `exit_code` is the command's."""

    exit_code = 1


class WrongUse(Problem):
    """Asked in a way that cannot be answered."""

    exit_code = 2
