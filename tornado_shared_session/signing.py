"""Signed credentials: what a client shows, proved to be of our making.

Tornado's signed values (HMAC-SHA256, version 2), with its key versions.
A signature says that this application made a credential, and nothing of
whether it is still worth anything: that is for the record to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from tornado.escape import utf8
from tornado.web import create_signed_value, decode_signed_value, get_signature_key_version

from .errors import ConfigurationError
from .record import Credential

Secret = str | bytes | Mapping[int, str | bytes]
_Key = str | bytes | dict[int, bytes]

_SHORTEST, _LONGEST = 150, 512  # ours have about 190 characters
_REMEMBERED = 4096  # verified values, of which each takes about 600 bytes


class Signer:
    """Signs credentials for one purpose, and verifies them.

    Args:
        purpose: what the signature also covers, so that a value signed
            for one use (a cookie's name) is worth nothing for another.
    """

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        self._key: _Key | None = None
        self._key_version: int | None = None
        # Verifying takes 6 us, and a client shows the same value with each
        # request. What a value names is remembered; never whether it lives.
        self._verified: dict[str, Credential] = {}

    def bind(self, secret: Secret, key_version: int | None, owner: object) -> None:
        """Take the application's ``cookie_secret`` and ``key_version``.

        Args:
            owner: what an error message names.

        Raises:
            ConfigurationError: another manager with another secret uses
                this object.
        """
        key = _for_tornado(secret)
        if self._key is not None and (self._key, self._key_version) != (key, key_version):
            raise ConfigurationError(
                f"{owner!r} serves two SessionManagers with different secrets, and what it signs"
                f" could only be read by one: give each its own {type(owner).__name__}(...)"
            )
        self._key = key
        self._key_version = key_version
        self._verified.clear()

    def verify(self, value: str) -> Credential | None:
        """Return the credential in a signed value; None if it is not one of ours."""
        known = self._verified.get(value)
        if known is not None:
            return known
        assert self._key is not None, "bind() comes before the first request"
        if not may_be_signed(value):
            return None
        # No age limit: how long a session lives is the store's business.
        # Never version 1: it is HMAC-SHA1 and logs the whole cookie.
        data = decode_signed_value(
            self._key,
            self.purpose,
            value,
            max_age_days=float("inf"),
            min_version=2,
        )
        if data is None or not data.isascii():
            return None
        renew = isinstance(self._key, dict) and (
            get_signature_key_version(value) != self._key_version
        )
        credential = Credential.parse(data.decode("ascii"), renew=renew)
        if credential is not None:
            if len(self._verified) >= _REMEMBERED:
                del self._verified[next(iter(self._verified))]  # the oldest
            self._verified[value] = credential
        return credential

    def sign(self, credential: Credential) -> str:
        """Return what a client is to show."""
        assert self._key is not None, "bind() comes before the first response"
        return create_signed_value(
            self._key,
            self.purpose,
            str(credential),
            key_version=self._key_version,
        ).decode("ascii")


def may_be_signed(value: str) -> bool:
    """Tell whether a value has the form of a signed credential, before it is verified."""
    return value.startswith("2|") and _SHORTEST <= len(value) <= _LONGEST and value.isascii()


def _for_tornado(secret: Secret) -> _Key:
    """Return the secret in a form that Tornado's signed values take."""
    if isinstance(secret, Mapping):
        return {version: utf8(key) for version, key in secret.items()}
    return secret


def check_secret(secret: object, key_version: object) -> None:
    """Refuse what Tornado's signed values cannot work with, early and by name.

    Raises:
        ConfigurationError: always names the setting.
    """
    if secret is None or secret in ("", b""):
        raise ConfigurationError(
            "no secret to sign session cookies with: pass cookie_secret=... to the Application,"
            " or secret=... to the SessionManager"
            ' (python -c "import secrets; print(secrets.token_hex(32))" makes one)'
        )
    if isinstance(secret, Mapping):
        if not secret or not all(
            type(k) is int and isinstance(v, str | bytes) and v for k, v in secret.items()
        ):
            raise ConfigurationError(
                "cookie_secret as a dict maps key versions (int) to secrets (str or bytes)"
            )
        if key_version not in secret:
            raise ConfigurationError(
                f"key_version={key_version!r} is not in cookie_secret: with a dict of secrets,"
                " pass key_version=... naming the one that signs"
            )
    elif not isinstance(secret, str | bytes):
        raise ConfigurationError(
            f"cookie_secret is a {type(secret).__qualname__}; use str, bytes or a dict of them"
        )
