"""One Kafka that asks who is there, in every way newstide knows; certificates are made for each session."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from newstide.core.local_server import free_port
from newstide.core.settings import Settings
from newstide.kafka.local_broker import LocalKafka
from tests.harness.access import LISTENERS, SECRET, USER, Guarded


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an authority: its own, a server's for `localhost`, a client's (also with a password); and a stranger's."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    stranger.cert_pem.write_to_path(folder / "strange-ca.pem")
    for name, signer, host in (
        ("server", authority, "localhost"),
        ("client", authority, "client.example"),
        ("strange", stranger, "client.example"),
    ):
        made = signer.issue_cert(host)
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        key = load_pem_private_key(made.private_key_pem.bytes(), None)
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # all that Java reads
        (folder / f"{name}.pem").write_bytes(chain)
        (folder / f"{name}.key").write_bytes(plain)
        (folder / f"{name}-both.pem").write_bytes(plain + chain)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode()))
        (folder / f"{name}-locked.key").write_bytes(locked)
    return folder


@pytest.fixture(scope="session")
def server_context(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context


@pytest.fixture(scope="session")
def guarded_kafka(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    ports = {name: free_port() for name in LISTENERS}
    jaas = "org.apache.kafka.common.security"
    properties = {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "advertised.listeners": ",".join(
            f"{name}://{'localhost' if LISTENERS[name].endswith('SSL') else '127.0.0.1'}:{port}"
            for name, port in ports.items()
        ),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items()),
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates / "server-both.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates / "ca.pem"),
        "listener.name.mtls.ssl.client.auth": "required",
    }
    for listener in ("sasl", "sasltls"):
        names = f"listener.name.{listener}"
        properties[f"{names}.plain.sasl.jaas.config"] = (
            f'{jaas}.plain.PlainLoginModule required user_{USER}="{SECRET}";'
        )
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            properties[f"{names}.{mechanism}.sasl.jaas.config"] = f"{jaas}.scram.ScramLoginModule required;"
    folder = tmp_path_factory.mktemp("guarded-kafka")
    with LocalKafka(folder, Settings().cache_dir, port=0, extra_properties=properties) as kafka:
        admin: Any = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            made = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, mechanism, SECRET)])
            assert made == {USER: None}
        admin.close()
        yield Guarded(ports, certificates)
