"""JSON Web Tokens that a service of your own signs."""

from collections.abc import Callable

from spanflow.span_processors.setting_table import SettingsError
from spanflow.viewer_api.auth.claims import ClaimReader
from spanflow.viewer_api.auth.jwt_verification import KEY_ALGORITHMS, SECRET_ALGORITHMS, PublicKey, public_key, verified
from spanflow.viewer_api.auth.permissions import Principal, Via
from spanflow.viewer_api.auth.watched_file import WatchedFile
from spanflow.viewer_api.settings.viewer_settings import ViewerSettings


def are_believed(settings: ViewerSettings) -> bool:
    """Whether the settings enable it."""
    return bool(settings.viewer_jwt_issuer or settings.viewer_jwt_unscoped)


class OwnTokens:
    """One issuer, one audience, one algorithm, one key; `SettingsError` when the settings leave one of them out."""

    def __init__(self, settings: ViewerSettings) -> None:
        self._issuer = settings.viewer_jwt_issuer
        self._audience = settings.viewer_jwt_audience
        self._unscoped = settings.viewer_jwt_unscoped
        self._algorithm = settings.viewer_jwt_algorithm
        self._leeway = settings.viewer_jwt_leeway
        self._claims = ClaimReader(settings)
        if not self._audience:
            raise SettingsError("SPANFLOW_VIEWER_JWT_AUDIENCE: say whom the tokens must be meant for.")
        self._key = _key(settings)

    async def principal(self, token: str) -> Principal:
        """Whose token this is; `Rejected` when it is not good."""
        claims = verified(
            token,
            self._key(),
            self._algorithm,
            issuer=self._issuer,
            audience=self._audience,
            leeway=self._leeway,
            unscoped=self._unscoped,
        )
        return self._claims.principal(claims, Via.JWT)


def _key(settings: ViewerSettings) -> Callable[[], bytes | PublicKey]:
    algorithm, path = settings.viewer_jwt_algorithm, settings.viewer_jwt_key_file
    secret = settings.viewer_jwt_secret.encode()
    if secret and path:
        raise SettingsError("SPANFLOW_VIEWER_JWT_SECRET, SPANFLOW_VIEWER_JWT_KEY_FILE: set one of them, not both.")
    if algorithm in SECRET_ALGORITHMS:
        if len(secret) < SECRET_ALGORITHMS[algorithm]:
            least = SECRET_ALGORITHMS[algorithm]
            raise SettingsError(f"SPANFLOW_VIEWER_JWT_SECRET: {algorithm} needs a secret of at least {least} bytes.")
        return lambda: secret
    if algorithm not in KEY_ALGORITHMS:
        algorithms = ", ".join(sorted(KEY_ALGORITHMS | set(SECRET_ALGORITHMS)))
        raise SettingsError(f"SPANFLOW_VIEWER_JWT_ALGORITHM: {algorithm!r} cannot be used; choose one of {algorithms}.")
    if not path:
        raise SettingsError(f"SPANFLOW_VIEWER_JWT_KEY_FILE: {algorithm} needs a file with the issuer's public key.")
    file = WatchedFile("SPANFLOW_VIEWER_JWT_KEY_FILE", path, lambda data: public_key(data, algorithm))
    return lambda: file.value
