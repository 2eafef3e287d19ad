"""Why a credential is not good."""


class Rejected(Exception):
    """A credential that signs nobody in. The message is a few words for the log, never anything of the credential."""
