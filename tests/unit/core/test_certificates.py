"""core/certificates.py: what libraries say of TLS, and what to do about it."""

import pytest

from taskyard.core.certificates import advice


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired "
            "(_ssl.c:1006)",
            "has expired; renew it",
        ),
        ("certificate verify failed: certificate is not yet valid", "clock"),
        (
            "certificate verify failed: Hostname mismatch, certificate is not valid for 'a'.",
            "another name",
        ),
        (
            "certificate verify failed: IP address mismatch, certificate is not valid",
            "another name",
        ),
        ('server certificate for "b" does not match host name "a"', "another name"),
        ("certificate verify failed: unable to get local issuer certificate", "in X_TLS_CA"),
        ("certificate verify failed: self-signed certificate in certificate chain", "in X_TLS_CA"),
        ("SSL error: certificate verify failed", "has expired, or is from no CA"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "speaks no TLS"),
        ("server does not support SSL, but SSL was required", "speaks no TLS"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "X_TLS_KEY"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca", "X_TLS_CERTIFICATE"),
        ("EOF occurred in violation of protocol (_ssl.c:2427)", "broke off"),
        ('no pg_hba.conf entry for host "::1", user "u", database "d", no encryption', "wants TLS"),
    ],
)
def test_each_reason_ends_in_what_to_do(said: str, expected: str) -> None:
    """The words are OpenSSL's and libpq's own."""
    assert expected in (advice(said, server="the server", ca="X_TLS_CA") or "")


@pytest.mark.parametrize("said", ["connection refused", "[Errno 104] Connection reset by peer", ""])
def test_what_is_no_fault_of_tls_is_left_alone(said: str) -> None:
    """A hint that leads astray is worse than none."""
    assert advice(said, server="the server", ca="X_TLS_CA") is None
