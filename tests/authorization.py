"""An authorization server for the tests: authlib's, over HTTP on loopback.

It gives access tokens to clients (client credentials, RFC 9068), lets a person log in
(authorization code with PKCE, OpenID Connect), publishes metadata and keys, and takes another key
while it runs.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from authlib.integrations.flask_oauth2 import AuthorizationServer as Oauth
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant
from authlib.oauth2.rfc6749.models import ClientMixin
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from authlib.oauth2.rfc9207.parameter import IssuerParameter
from authlib.oidc.core import UserInfo
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, Response, jsonify, redirect
from joserfc.jwk import JWKRegistry, Key, KeySet
from werkzeug.serving import make_server

AUDIENCE = "https://tasks.example"
CURVES: dict[str, tuple[str, Any]] = {
    "RS256": ("RSA", 2048), "PS256": ("RSA", 2048), "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"), "EdDSA": ("OKP", "Ed25519"), "Ed25519": ("OKP", "Ed25519"),
}  # fmt: skip


def new_key(alg: str = "ES256") -> Key:
    """A private key for an algorithm, with its thumbprint for an id."""
    kind, size = CURVES[alg]
    return JWKRegistry.generate_key(kind, size, {"alg": alg, "use": "sig"}, auto_kid=True)


@dataclass(frozen=True)
class Client(ClientMixin):
    """Who may ask for tokens, and what is in them."""

    id: str = "billing"
    secret: str = "s3cret"
    scope: str = "submit read"
    claims: dict[str, Any] = field(default_factory=dict)
    redirect_uri: str = ""

    def get_client_id(self) -> str:
        return self.id

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(name for name in scope.split() if name in self.scope.split())

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == ("client_secret_basic" if self.secret else "none")

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == ("authorization_code" if self.redirect_uri else "client_credentials")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri


@dataclass(frozen=True)
class Person:
    """Who sits before the browser, already known to the server."""

    id: str = "ada"

    def get_user_id(self) -> str:
        return self.id


@dataclass(frozen=True)
class Code:
    """An authorization code, and what it was given for."""

    client_id: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> None: ...

    def get_acr(self) -> None: ...

    def get_amr(self) -> None: ...


class AuthorizationServer:
    """A running server. `keys` are published, the last one signs."""

    def __init__(self, alg: str, clients: tuple[Client, ...]) -> None:
        self.alg = alg
        self.keys = [new_key(alg)]
        self.clients = {client.id: client for client in clients}
        self.reads = 0  # of the keys
        self.away = False  # the keys are answered with 503
        self.metadata: dict[str, Any] = {}
        self.issuer = ""
        self.codes: dict[str, Code] = {}
        self.person: Person | None = Person()  # None: who is asked says no
        self.id_token: dict[str, Any] = {}  # claims that differ from what they should be

    def rotate(self) -> None:
        """Sign with another key from now on; the one before is no longer published."""
        self.keys = [new_key(self.alg)]

    def jwks(self) -> Any:
        return KeySet(self.keys).as_dict(private=False)

    def token(self, client: str = "billing", **more: str) -> str:
        """Ask for an access token as a client does."""
        reply = httpx.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", "scope": "submit read", **more},
            auth=(client, self.clients[client].secret),
        )
        assert reply.status_code == 200, reply.text
        return str(reply.json()["access_token"])


def _serve(app: Flask, server: AuthorizationServer) -> None:
    oauth = Oauth(app, server.clients.get, lambda token, request: None)
    oauth.register_grant(ClientCredentialsGrant)
    oauth.register_grant(_grant(server), [CodeChallenge(required=True), _IdTokens(server)])
    oauth.register_token_generator("default", _Tokens(server))
    oauth.register_extension(_Named(server))

    @app.get("/authorize")
    def authorize() -> Response:
        grant = oauth.get_consent_grant(end_user=server.person)
        return oauth.create_authorization_response(grant_user=server.person, grant=grant)

    @app.post("/token")
    def token() -> Response:
        return oauth.create_token_response()

    @app.get("/keys")
    def keys() -> Any:
        server.reads += 1
        return ("", 503) if server.away else jsonify(server.jwks())

    @app.get("/moved")
    def moved() -> Any:
        return redirect(f"{server.issuer}/keys")

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Response:
        return jsonify(server.metadata)


class _Tokens(JWTBearerTokenGenerator):
    def __init__(self, server: AuthorizationServer) -> None:
        super().__init__(issuer=server.issuer, alg=server.alg)
        self._server = server

    def get_jwks(self) -> KeySet:
        return KeySet(self._server.keys[-1:])

    def get_audiences(self, client: Client, user: Any, scope: str) -> str:
        return AUDIENCE

    def get_extra_claims(self, client: Client, *_: Any) -> dict[str, Any]:
        return client.claims


def _grant(server: AuthorizationServer) -> type[AuthorizationCodeGrant]:
    class Grant(AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "none")

        def save_authorization_code(self, code: str, request: Any) -> None:
            asked = request.payload.data
            server.codes[code] = Code(
                request.client.id, asked["redirect_uri"], asked["scope"], asked["nonce"],
                asked["code_challenge"], asked["code_challenge_method"],
            )  # fmt: skip

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            found = server.codes.get(code)
            return found if found and found.client_id == client.id else None

        def delete_authorization_code(self, authorization_code: Code) -> None:
            server.codes = {k: v for k, v in server.codes.items() if v is not authorization_code}

        def authenticate_user(self, authorization_code: Code) -> Person | None:
            return server.person

    return Grant


class _IdTokens(OpenIDCode):
    def __init__(self, server: AuthorizationServer) -> None:
        super().__init__(require_nonce=True)
        self._server = server

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return any(code.nonce == nonce for code in self._server.codes.values())

    def resolve_client_private_key(self, client: Client) -> Key:
        return self._server.keys[-1]

    def get_client_algorithm(self, client: Client) -> str:
        return self._server.alg

    def get_encode_header(self, client: Client) -> dict[str, Any]:
        return {"alg": self._server.alg, "kid": self._server.keys[-1].kid}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": self._server.issuer, **client.claims}

    def generate_user_info(self, user: Person, scope: str) -> UserInfo:
        return UserInfo(sub=user.id, **self._server.id_token)


class _Named(IssuerParameter):
    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def get_issuer(self) -> str:
        return self._server.issuer


@contextmanager
def authorization_server(
    alg: str = "ES256",
    *,
    clients: tuple[Client, ...] = (Client(),),
    tls: ssl.SSLContext | None = None,
) -> Iterator[AuthorizationServer]:
    """Run a server on a port of loopback."""
    server = AuthorizationServer(alg, clients)
    app = Flask("authorization")
    http = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=tls)
    server.issuer = f"{'https' if tls else 'http'}://127.0.0.1:{http.server_port}"
    server.metadata = {
        "issuer": server.issuer,
        "jwks_uri": f"{server.issuer}/keys",
        "token_endpoint": f"{server.issuer}/token",
        "authorization_endpoint": f"{server.issuer}/authorize",
    }
    _serve(app, server)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
