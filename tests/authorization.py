"""An authorization server for the tests: authlib's, over HTTP on loopback.

It gives access tokens to clients (client credentials, RFC 9068), publishes metadata and keys,
and takes another key while it runs.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from authlib.integrations.flask_oauth2 import AuthorizationServer as Oauth
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.models import ClientMixin
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response, jsonify
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

    def get_client_id(self) -> str:
        return self.id

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(name for name in scope.split() if name in self.scope.split())

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


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
    oauth.register_token_generator("default", _Tokens(server))

    @app.post("/token")
    def token() -> Response:
        return oauth.create_token_response()

    @app.get("/keys")
    def keys() -> Any:
        server.reads += 1
        return ("", 503) if server.away else jsonify(server.jwks())

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


@contextmanager
def authorization_server(
    alg: str = "ES256", *, clients: tuple[Client, ...] = (Client(),)
) -> Iterator[AuthorizationServer]:
    """Run a server on a port of loopback."""
    server = AuthorizationServer(alg, clients)
    app = Flask("authorization")
    http = make_server("127.0.0.1", 0, app, threaded=True)
    server.issuer = f"http://127.0.0.1:{http.server_port}"
    server.metadata = {
        "issuer": server.issuer,
        "jwks_uri": f"{server.issuer}/keys",
        "token_endpoint": f"{server.issuer}/token",
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
