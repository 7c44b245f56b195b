"""What to do about a connection that TLS has prevented.

OpenSSL's reasons (https://docs.openssl.org/3.0/man1/openssl-verification-options/) and libpq's
sentences are known by their words: neither library passes a code on to us.
"""

_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("certificate has expired",),
        "the certificate of {server} has expired; renew it there",
    ),
    (
        ("certificate is not yet valid",),
        "the certificate of {server} is not valid yet; is the clock right, here and there?",
    ),
    (
        ("hostname mismatch", "ip address mismatch", "does not match host name", "doesn't match"),
        "the certificate of {server} is for another name; connect by a name that it holds, or "
        "issue one for this name",
    ),
    (
        ("unable to get local issuer", "self-signed certificate", "self signed certificate"),
        "the certificate of {server} is from no CA that is trusted here; name the file with its CA "
        "in {ca}",
    ),
    (
        ("certificate verify failed",),
        "the certificate of {server} has expired, or is from no CA that is trusted here; renew it "
        "there, or name the file with its CA in {ca}",
    ),
    (
        (
            *("alert certificate required", "alert handshake failure", "alert bad certificate"),
            *("alert unknown ca", "requires a valid client certificate"),
        ),
        "{server} does not take the certificate that it was shown, or was shown none; set {ours}",
    ),
    (
        # From TLS 1.3 on a client may hear the end before the reason.
        ("eof occurred in violation of protocol",),
        "{server} broke off; perhaps it wants another certificate than it was shown: see {ours}",
    ),
    (
        ("server does not support ssl", "wrong version number", "record layer failure"),
        "{server} speaks no TLS there; turn it on, or connect to the port that has it",
    ),
    (
        ("no encryption", "ssl off"),
        "{server} wants TLS; set {ca}",
    ),
)


def advice(said: str, *, server: str, ca: str) -> str | None:
    """Return what to do about an error of a connection, or None if TLS had no part in it.

    `server` is what to call the other side, `ca` the setting that names the CAs it is checked with.
    """
    lowered = said.lower()
    for words, sentence in _REASONS:
        if any(word in lowered for word in words):
            ours = f"{ca.removesuffix('_CA')}_CERTIFICATE and {ca.removesuffix('_CA')}_KEY"
            return sentence.format(server=server, ca=ca, ours=ours)
    return None
