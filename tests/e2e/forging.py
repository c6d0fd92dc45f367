"""Tokens as an attacker, or a careless colleague, would make them."""

import base64
import hashlib
import hmac
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unsigned(header, claims):
    return ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))


class Forger:
    """Makes variations of a token that the server has issued, with or without its signing key."""

    def __init__(self, token, signing_key_file):
        self.token = token
        self.header = jwt.get_unverified_header(token)
        self.claims = jwt.decode(token, options={"verify_signature": False})
        self._key = serialization.load_pem_private_key(signing_key_file.read_bytes(), password=None)

    def sign(self, header=None, **claims):
        """With the server's own key; a claim or header of None is left out."""
        return self._sign_with(self._key, header or {}, claims)

    def sign_with_another_key(self):
        return self._sign_with(ec.generate_private_key(ec.SECP256R1()), {}, {})

    def _sign_with(self, key, header, claims):
        header = {name: value for name, value in {**self.header, **header}.items() if value is not None}
        claims = {name: value for name, value in {**self.claims, **claims}.items() if value is not None}
        algorithm = header.pop("alg")
        return jwt.encode(claims, key, algorithm=algorithm, headers=header)

    def expired(self):
        now = int(time.time())
        return self.sign(iat=now - 1000, nbf=now - 1000, exp=now - 100)

    def without_signature(self, algorithm="none"):
        return _unsigned({**self.header, "alg": algorithm}, {**self.claims, "role": "ADMIN"}) + "."

    def signed_with_the_public_key(self):
        """HS256 with what everybody can know: works where the token chooses the algorithm."""
        public_key = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        text = _unsigned({**self.header, "alg": "HS256"}, {**self.claims, "role": "ADMIN"})
        return text + "." + _encode(hmac.new(public_key, text.encode(), hashlib.sha256).digest())

    def with_changed_claims(self):
        """The role is another, the signature is the old one."""
        header, _, signature = self.token.split(".")
        return ".".join([header, _encode(json.dumps({**self.claims, "role": "ADMIN"}).encode()), signature])
