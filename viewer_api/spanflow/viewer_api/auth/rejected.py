"""Why a credential is not good."""


class Rejected(Exception):
    """A credential that is refused. The message is a few words for the log, never anything of the credential."""
