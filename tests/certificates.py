"""Certificates for the tests, made with the openssl command. Shell: subprocess, files.

In: names. Out: PEM files of an authority, and of what it signed: EC keys on P-256, valid for two days.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_NEW_KEY = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
ISSUER = "https://tokens.example"


class Certificate(NamedTuple):
    """PEM files; `both` holds key and certificate, as Kafka's key store wants them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates; `certificate` is what trusts it."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs openssl, to make certificates")
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self.certificate = self._folder / "authority.pem"
        self._openssl(f"{_NEW_KEY} -x509 -days 2 -subj /CN={name} -keyout authority.key -out authority.pem")

    def issue(self, name: str, *, alternative: str = "", days: int = 2) -> Certificate:
        """Sign a certificate for CN=`name`; `alternative` as `IP:127.0.0.1`; days below 0: it has expired."""
        made = Certificate(*(self._folder / f"{name}.{suffix}" for suffix in ("pem", "key", "both")))
        self._openssl(f"{_NEW_KEY} -subj /CN={name} -keyout {made.key.name} -out {name}.csr")
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={alternative or f'DNS:{name}'}\n", encoding="utf-8")
        signing = "-CA authority.pem -CAkey authority.key -CAcreateserial"
        self._openssl(
            f"x509 -req -in {name}.csr {signing} -days {days} -extfile {name}.ext -out {made.certificate.name}"
        )
        made.both.write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
        return made

    def encrypt_key(self, made: Certificate, password_file: Path) -> Path:
        """Write the private key once more, under a password."""
        locked = made.key.with_suffix(".locked")
        self._openssl(f"pkcs8 -topk8 -in {made.key} -out {locked} -passout file:{password_file}")
        return locked

    def _openssl(self, command: str) -> None:
        _openssl(command, self._folder)


class TokenSigner:
    """Signs JSON Web Tokens with RS256 (RFC 7515); `jwks` is the file that Kafka checks them with (RFC 7517)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True)
        _openssl("genrsa -out token.key 2048", folder)
        modulus = _openssl("rsa -in token.key -noout -modulus", folder).decode().strip().partition("=")[2]
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": "1",
            "e": "AQAB",
            "n": _base64(bytes.fromhex(modulus)),
        }
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [key]}), encoding="utf-8")

    def sign(self, subject: str, *, audience: str, seconds: int) -> str:
        """Make a token that expires in so many seconds."""
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": subject, "aud": audience, "iat": now, "exp": now + seconds}
        signed = f"{_json({'alg': 'RS256', 'typ': 'JWT', 'kid': '1'})}.{_json(claims)}"
        signature = _openssl("dgst -sha256 -sign token.key", self._folder, signed.encode())
        return f"{signed}.{_base64(signature)}"


def _openssl(command: str, folder: Path, given: bytes = b"") -> bytes:
    run = subprocess.run(["openssl", *command.split()], cwd=folder, input=given, capture_output=True, check=False)
    assert run.returncode == 0, f"openssl {command}: {run.stderr.decode()}"
    return run.stdout


def _json(claims: dict[str, Any]) -> str:
    return _base64(json.dumps(claims).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
