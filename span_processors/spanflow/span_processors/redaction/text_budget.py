"""How much text of one flow is still searched for secrets."""


class TextBudget:
    """Characters that are left to one flow, over all its spans. Used by the encoder's thread only."""

    __slots__ = ("left",)

    def __init__(self, characters: int) -> None:
        self.left = characters
