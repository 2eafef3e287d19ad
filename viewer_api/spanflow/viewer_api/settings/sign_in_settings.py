"""The settings that say who may sign in to a viewer, and what they may do there."""

from dataclasses import dataclass

from spanflow.span_processors.setting_parsers import decimal, flag, names, one_of, seconds, text, whole
from spanflow.span_processors.setting_table import setting
from spanflow.span_processors.shared_settings import SharedSettings
from spanflow.viewer_api.settings.parsers import mapping


@dataclass(frozen=True, slots=True)
class SignInSettings(SharedSettings):
    """What decides who gets in."""

    # -- sign-in to the viewer -----------------------------------------------------------------------------------------
    viewer_token: str = setting(
        "SPANFLOW_VIEWER_TOKEN",
        "",
        "Access token of the viewer's API with the role admin, at least 16 characters. Empty on a loopback "
        "address: generated at each start.",
        parse=text,
        secret=True,
    )
    viewer_tokens_file: str = setting(
        "SPANFLOW_VIEWER_TOKENS_FILE",
        "",
        "TOML file with further tokens, each with a name and a role; `spanflow token new` creates entries.",
        parse=text,
    )
    viewer_secret: str = setting(
        "SPANFLOW_VIEWER_SECRET",
        "",
        "Secret that signs session cookies, at least 32 characters; the same in all processes of one viewer. "
        "Empty: derived from SPANFLOW_VIEWER_TOKEN, or generated at each start.",
        parse=text,
        secret=True,
    )
    viewer_session_hours: float = setting(
        "SPANFLOW_VIEWER_SESSION_HOURS", 12.0, "Lifetime of a browser session, in hours.", parse=decimal(0.01, 720)
    )
    viewer_public_url: str = setting(
        "SPANFLOW_VIEWER_PUBLIC_URL",
        "",
        "The viewer's URL as browsers see it, such as https://flows.example.com/spanflow. If set, it is the "
        "viewer's only own origin; if empty, each request's own address is used.",
        parse=text,
    )
    viewer_allowed_origins: tuple[str, ...] = setting(
        "SPANFLOW_VIEWER_ALLOWED_ORIGINS",
        (),
        "Other origins whose pages may call the API and open its sockets, such as https://dashboard.example.com; "
        "comma-separated.",
        parse=names,
    )

    # -- mapping of roles ----------------------------------------------------------------------------------------------
    viewer_roles: tuple[tuple[str, str], ...] = setting(
        "SPANFLOW_VIEWER_ROLES",
        (),
        "Mapping of your proxy's or identity provider's role names: super_admin=admin, support=monitor. admin, "
        "monitor and viewer need no mapping.",
        parse=mapping("admin", "monitor", "viewer", "none"),
    )
    viewer_default_role: str = setting(
        "SPANFLOW_VIEWER_DEFAULT_ROLE",
        "viewer",
        "Role of users for whom the proxy or identity provider states no known role; `none` refuses them.",
        parse=one_of("viewer", "monitor", "admin", "none"),
    )

    # -- forward-auth proxies ------------------------------------------------------------------------------------------
    viewer_proxy_peers: tuple[str, ...] = setting(
        "SPANFLOW_VIEWER_PROXY_PEERS",
        (),
        "Addresses or networks (10.0.0.0/8) of forward-auth proxies whose headers are trusted; comma-separated. "
        "unix: any client on a Unix socket.",
        parse=names,
    )
    viewer_proxy_header: str = setting(
        "SPANFLOW_VIEWER_PROXY_HEADER",
        "X-Forwarded-User",
        "Header with the name of the signed-in user, for the audit log; `off` reads none.",
        parse=text,
    )
    viewer_proxy_id_header: str = setting(
        "SPANFLOW_VIEWER_PROXY_ID_HEADER",
        "X-User-Id",
        "Header with the user id whose own flows they may see; `off` reads none.",
        parse=text,
    )
    viewer_proxy_role_header: str = setting(
        "SPANFLOW_VIEWER_PROXY_ROLE_HEADER",
        "X-User-Role",
        "Header with their role or roles, comma-separated; `off` reads none.",
        parse=text,
    )
    viewer_proxy_users_header: str = setting(
        "SPANFLOW_VIEWER_PROXY_USERS_HEADER",
        "off",
        "Header with the ids of the users that a monitor may see, comma-separated, * for all. If set, a monitor "
        "without it sees no one; `off` lets monitors see everyone.",
        parse=text,
    )

    viewer_proxy_holds_minutes: float = setting(
        "SPANFLOW_VIEWER_PROXY_HOLDS_MINUTES",
        60.0,
        "Minutes after which live sockets must reconnect, so that the proxy decides again. Sessions and tickets "
        "created through the proxy expire then, too.",
        parse=decimal(0.01, 1440),
    )

    # -- JSON Web Tokens -----------------------------------------------------------------------------------------------
    viewer_jwt_issuer: str = setting(
        "SPANFLOW_VIEWER_JWT_ISSUER", "", "Issuer (iss) of accepted JWTs. Empty: none are accepted.", parse=text
    )
    viewer_jwt_audience: str = setting(
        "SPANFLOW_VIEWER_JWT_AUDIENCE", "spanflow", "Required audience (aud).", parse=text
    )
    viewer_jwt_unscoped: bool = setting(
        "SPANFLOW_VIEWER_JWT_UNSCOPED",
        False,
        "Accept JWTs without an issuer or audience. Then any token signed with this secret or key signs in; an "
        "issuer or audience that is present must still match.",
        parse=flag,
    )
    viewer_jwt_algorithm: str = setting(
        "SPANFLOW_VIEWER_JWT_ALGORITHM",
        "RS256",
        "The only accepted signature algorithm: HS256 (needs the secret), RS256, PS256, ES256, EdDSA and their "
        "longer forms (need the key file).",
        parse=text,
    )
    viewer_jwt_secret: str = setting(
        "SPANFLOW_VIEWER_JWT_SECRET", "", "Secret of an HS algorithm, at least 32 bytes.", parse=text, secret=True
    )
    viewer_jwt_key_file: str = setting(
        "SPANFLOW_VIEWER_JWT_KEY_FILE", "", "PEM file with the public key of any other algorithm.", parse=text
    )
    viewer_jwt_leeway: float = setting(
        "SPANFLOW_VIEWER_JWT_LEEWAY",
        30.0,
        "Allowed clock difference between issuer and viewer, in seconds, also for OIDC.",
        parse=seconds(0, 600),
    )
    viewer_jwt_name_claim: str = setting(
        "SPANFLOW_VIEWER_JWT_NAME_CLAIM",
        "",
        "Claim with the name for the audit log, also for OIDC. Empty: email (unless email_verified says it is not), "
        "preferred_username, name or sub.",
        parse=text,
    )
    viewer_jwt_user_claim: str = setting(
        "SPANFLOW_VIEWER_JWT_USER_CLAIM",
        "sub",
        "Claim with the user id whose own flows they may see, also for OIDC.",
        parse=text,
    )
    viewer_jwt_role_claim: str = setting(
        "SPANFLOW_VIEWER_JWT_ROLE_CLAIM",
        "role",
        "Claim with the role or a list of roles, also for OIDC; realm_access.roles reaches into an object.",
        parse=text,
    )
    viewer_jwt_users_claim: str = setting(
        "SPANFLOW_VIEWER_JWT_USERS_CLAIM",
        "",
        "Claim with the list of user ids that a monitor may see (* for all), also for OIDC. If set, a monitor "
        "without it sees no one; empty lets monitors see everyone.",
        parse=text,
    )

    # -- OpenID Connect ------------------------------------------------------------------------------------------------
    viewer_oidc_issuer: str = setting(
        "SPANFLOW_VIEWER_OIDC_ISSUER",
        "",
        "Issuer of your identity provider, such as https://id.example.com/realms/main. Empty: no OIDC.",
        parse=text,
    )
    viewer_oidc_client_id: str = setting(
        "SPANFLOW_VIEWER_OIDC_CLIENT_ID", "", "The viewer's client id there.", parse=text
    )
    viewer_oidc_client_secret: str = setting(
        "SPANFLOW_VIEWER_OIDC_CLIENT_SECRET",
        "",
        "Its client secret. Empty for a public client, which PKCE protects.",
        parse=text,
        secret=True,
    )
    viewer_oidc_scopes: str = setting(
        "SPANFLOW_VIEWER_OIDC_SCOPES", "openid profile email", "Scopes requested at sign-in.", parse=text
    )
    viewer_oidc_audience: str = setting(
        "SPANFLOW_VIEWER_OIDC_AUDIENCE",
        "",
        "Audience of the identity provider's bearer tokens. Empty: the client id.",
        parse=text,
    )
    viewer_oidc_refetch_seconds: float = setting(
        "SPANFLOW_VIEWER_OIDC_REFETCH_SECONDS",
        30.0,
        "Minimum interval, in seconds, between fetches of the keys because of a token with an unknown key.",
        parse=seconds(0.05, 3600),
    )

    # -- rate limits ---------------------------------------------------------------------------------------------------
    viewer_failed_sign_ins: int = setting(
        "SPANFLOW_VIEWER_FAILED_SIGN_INS",
        20,
        "Failed sign-ins per minute allowed from one address (IPv6: one /64).",
        parse=whole(1, 100_000),
    )
    viewer_requests_per_second: float = setting(
        "SPANFLOW_VIEWER_REQUESTS_PER_SECOND",
        200.0,
        "Average request rate allowed for one user or token; bursts of ten seconds' worth are accepted.",
        parse=decimal(0.1, 1_000_000),
    )
    viewer_requests_at_once: int = setting(
        "SPANFLOW_VIEWER_REQUESTS_AT_ONCE",
        6,
        "Concurrent requests of one user or token per viewer process; further ones wait. A process has ten "
        "connections to Postgres in total.",
        parse=whole(1, 1000),
    )
    viewer_max_range_days: int = setting(
        "SPANFLOW_VIEWER_MAX_RANGE_DAYS",
        400,
        "Maximum time range of one aggregated answer, in days. Lists are paged and have no limit.",
        parse=whole(1, 36_500),
    )
    viewer_sockets_per_person: int = setting(
        "SPANFLOW_VIEWER_SOCKETS_PER_PERSON",
        100,
        "Maximum live sockets of one user or token per viewer process.",
        parse=whole(1, 100_000),
    )
