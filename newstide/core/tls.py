"""The TLS context of Kafka's and Milvus' connections, from certificate files."""

import ssl
from pathlib import Path

from newstide.core.errors import SettingsError


def tls_context(
    group: str, cafile: Path | None, certfile: Path | None, keyfile: Path | None, password: str | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or newer, the server's certificate and name checked; with a certificate of our own where one is set.

    The context is made before the client: a client would report a wrong certificate file as an unreachable server.

    Args:
        group: The group of the settings that errors name: `kafka` or `milvus`.
        cafile: PEM file, the authority that signed the server's certificate; None: the authorities this machine trusts.
        certfile: PEM file, our certificate and its chain.
        keyfile: PEM file, the key of our certificate; None: `certfile` holds the key.
        password: The key's password.

    Raises:
        SettingsError: A file does not exist or does not hold what it should, or the key's password is wrong.
    """
    for name, file in (("ssl_cafile", cafile), ("ssl_certfile", certfile), ("ssl_keyfile", keyfile)):
        if file is not None and not file.is_file():
            raise SettingsError(f"{group}.{name} {str(file)!r} is no file.", "Correct the path.")
    try:
        context = ssl.create_default_context(cafile=cafile)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            f"{group}.ssl_cafile {str(cafile)!r} holds no certificates: {said(error)}.", "Name a PEM file."
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certfile is None:
        if keyfile is not None:
            raise SettingsError(f"{group}.ssl_keyfile is set, but {group}.ssl_certfile is not.", "Set both.")
        return context
    try:  # a function: without one, OpenSSL asks at the terminal for the password of a key that has one
        context.load_cert_chain(certfile, keyfile, lambda: password or "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise SettingsError(
            f"{group}.ssl_certfile {str(certfile)!r} and its key cannot be used: {said(error)}.",
            "Both must be PEM files of one pair; kafka.ssl_keypassword opens a key that has a password, which Milvus' "
            "client cannot.",
        ) from None
    return context


def said(error: BaseException) -> str:
    """OpenSSL's reason, without the place in its source."""
    return str(error).partition(" (_ssl")[0].partition("] ")[2] or str(error) or type(error).__name__
