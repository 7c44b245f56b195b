"""The key ring: what callers send is closed on its way into the database, and opened behind it.

AES-256-GCM (NIST SP 800-38D), with a random nonce and the place as associated data. Each place's
tenant and id have a key of their own, derived from that of the ring by HKDF-Expand (RFC 5869): so
however many values there are, few share a key, and random nonces never come near their limit.
"""

import base64
import binascii
import hmac
import os
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import DataError

from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.sealed import MARK, VERSION, EncryptionKeys, Place

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_NONCE = 12  # bytes, as GCM wants them
_MARKED = f'"{MARK}"'
_BEGINNING = f'{{"{MARK}":'
_CONTEXT = b"taskyard sealed 1\0"
_DIGEST = b"taskyard digest 1"


class KeyRing:
    """Closes with the active key, opens with any."""

    def __init__(self, keys: EncryptionKeys | None = None) -> None:
        self._keys = keys or EncryptionKeys()
        self.active = self._keys.active

    def seal(self, text: str, place: Place, *, beside: str = "") -> str:
        """Return JSON text as it is stored. `beside` is JSON text of members that stay plain.

        They are members of the value, too: without an active key both are stored as one object.
        Raises DataError for what Postgres would refuse, sealed or not.
        """
        if self.active is None:
            whole = _joined(beside, text) if beside else text
            return _wrapped(whole) if _MARKED in whole else whole
        if "\\u0000" in text and _NUL.search(text):
            raise DataError("NUL cannot be stored")  # as Postgres says of what it can read
        sealed = f'"{VERSION}.{self.active}.{self._encrypted(self.active, text, place)}"'
        return f"{_BEGINNING}{sealed}{',' if beside else ''}{beside}}}"

    def seal_text(self, text: str, place: Place) -> str:
        """Return text of any kind as it is stored in a text column."""
        if self.active is None and not text.startswith(_BEGINNING):
            return text
        return self._whole(text, place)

    def seal_bytes(self, given: bytes, place: Place) -> bytes:
        """Return bytes as they are stored in a column of bytes."""
        if self.active is None and not given.startswith(_BEGINNING.encode()):
            return given
        return self._whole(base64.b64encode(given).decode(), place).encode()

    def _whole(self, text: str, place: Place) -> str:
        as_json = msgspec.json.encode(text).decode()
        return _wrapped(as_json) if self.active is None else self.seal(as_json, place)

    def open(self, value: Any, place: Place) -> Any:
        """Return a stored JSON value. Raises EncryptionKeyMissing and SealBroken."""
        if type(value) is not dict or MARK not in value:
            return value
        if value[MARK] is False:
            return value.get("value")
        opened = msgspec.json.decode(self._decrypted(value[MARK], place))
        if len(value) == 1:
            return opened
        return {name: each for name, each in value.items() if name != MARK} | opened

    def renew(self, stored: str, place: Place, *, beside: Sequence[str] = ()) -> str:
        """Return stored JSON text as it is stored now; the members `beside` stay plain.

        It is never rebuilt: numbers keep every digit. Raises EncryptionKeyMissing and SealBroken.
        """
        text = self.plain(stored, place)
        if not beside:
            return self.seal(text, place)
        members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        aside = {name: members.pop(name) for name in beside if name in members}
        inside = msgspec.json.encode(members).decode()
        return self.seal(inside, place, beside=msgspec.json.encode(aside).decode()[1:-1])

    def plain(self, stored: str, place: Place) -> str:
        """Return the JSON text that stored JSON text stands for. Raises as `open` does."""
        value = msgspec.json.decode(stored) if _MARKED in stored else None
        if type(value) is not dict or MARK not in value:
            return stored
        members = msgspec.json.decode(stored, type=dict[str, msgspec.Raw])
        if value[MARK] is False:
            return bytes(members["value"]).decode()
        opened = self._decrypted(value[MARK], place)
        if len(members) == 1:
            return opened.decode()
        del members[MARK]
        members |= msgspec.json.decode(opened, type=dict[str, msgspec.Raw])
        return msgspec.json.encode(members).decode()

    def open_text(self, stored: str, place: Place) -> str:
        """Return the text of a text column. Raises EncryptionKeyMissing and SealBroken."""
        if not stored.startswith(_BEGINNING):
            return stored
        text = self.open(msgspec.json.decode(stored), place)
        return text if isinstance(text, str) else stored

    def open_bytes(self, stored: bytes, place: Place) -> bytes:
        """Return the bytes of a column of bytes. Raises EncryptionKeyMissing and SealBroken."""
        if not stored.startswith(_BEGINNING.encode()):
            return stored
        return base64.b64decode(self.open_text(stored.decode(), place))

    def told(self, value: Any, place: Place) -> Any:
        """Return a stored object, or one whose `message` says why it cannot be read."""
        try:
            return self.open(value, place)
        except (EncryptionKeyMissing, SealBroken) as error:
            plain = {name: each for name, each in value.items() if name != MARK}
            return plain | {"message": f"[{error.detail}]"}

    def told_text(self, stored: str, place: Place) -> str:
        """Return the text of a text column, or why it cannot be read."""
        try:
            return self.open_text(stored, place)
        except (EncryptionKeyMissing, SealBroken) as error:
            return f"[{error.detail}]"

    def told_bytes(self, stored: bytes, place: Place) -> bytes:
        """Return the bytes of a column of bytes, or why they cannot be read."""
        try:
            return self.open_bytes(stored, place)
        except (EncryptionKeyMissing, SealBroken) as error:
            return f"[{error.detail}]".encode()

    def digest(self, text: str, place: Place) -> str:
        """Return what tells texts of a tenant apart to who has not the active key."""
        assert self.active is not None
        given = b"\0".join((_DIGEST, place.tenant.encode(), text.encode()))
        return hmac.digest(self._keys.secrets[self.active], given, "sha256")[:8].hex()

    def _encrypted(self, key_id: str, text: str, place: Place) -> str:
        nonce = os.urandom(_NONCE)
        sealed = self._cipher(key_id, place).encrypt(nonce, text.encode(), _associated(place))
        return base64.b64encode(nonce + sealed).decode()

    def _decrypted(self, mark: Any, place: Place) -> bytes:
        version, key_id, body = [*str(mark).split(".", 2), "", ""][:3]
        if version != VERSION:
            raise SealBroken(f"the {place.field} of {place.id} is no sealed value of this version")
        cipher = self._cipher(key_id, place)
        try:
            sealed = base64.b64decode(body, validate=True)
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _associated(place))
        except (InvalidTag, ValueError, binascii.Error):
            raise SealBroken(
                f"the {place.field} of {place.id} does not open with the key {key_id!r}: it was "
                "changed, or belongs elsewhere"
            ) from None

    def _cipher(self, key_id: str, place: Place) -> AESGCM:
        secret = self._keys.secrets.get(key_id)
        if secret is None:
            raise EncryptionKeyMissing(
                f"the {place.field} of {place.id} is sealed with the key {key_id!r}, which is not "
                "in TASKYARD_ENCRYPTION_KEYS"
            )
        # HKDF-Expand for one block: HMAC(key, info || 0x01).
        info = _CONTEXT + place.tenant.encode() + b"\0" + place.id.bytes + b"\x01"
        return AESGCM(hmac.digest(secret, info, "sha256"))


def _joined(members: str, others: str) -> str:
    return f"{{{members}}}" if others == "{}" else f"{{{members},{others[1:]}"


def _wrapped(text: str) -> str:
    return f'{_BEGINNING}false,"value":{text}}}'


def _associated(place: Place) -> bytes:
    return b"\0".join((place.tenant.encode(), place.id.bytes, place.field.encode()))


NO_KEYS = KeyRing()
