"""Milvus behind TLS that asks for a token, and for a certificate."""

import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newstide.core.errors import SettingsError, StoreUnavailable
from newstide.core.headline import Headline
from newstide.core.settings import MilvusSettings
from newstide.embedding.base import ModelCard
from newstide.milvus import HeadlineRow, open_store
from newstide.milvus.local_server import LocalMilvus
from tests.harness.access import SECRET
from tests.harness.milvus_gate import gate

WRONG = "nobody-was-told-this"


def settings_for(uri: str, certificates: Path, **values: Any) -> MilvusSettings:
    values = {"ssl_cafile": certificates / "ca.pem", "token": SECRET, **values}
    return MilvusSettings(uri=uri, prefix=f"t{uuid.uuid4().hex[:8]}_", timeout="4s", **values)


def refused(settings: MilvusSettings, capfd: pytest.CaptureFixture[str], within: float = 3) -> str:
    started = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        open_store(settings, None)
    assert time.monotonic() - started < within
    shown = f"{caught.value} {caught.value!r} {settings!r}" + "".join(capfd.readouterr())
    assert WRONG not in shown
    assert SECRET not in shown
    return str(caught.value)


def test_rows_go_both_ways_under_a_token_and_tls(local_milvus: LocalMilvus, certificates: Path) -> None:
    with gate(f"127.0.0.1:{local_milvus.port}", SECRET, certificates) as (uri, door):
        store = open_store(settings_for(uri, certificates), ModelCard("test", 4, "f" * 64))
        headline = Headline("1", "Harbour fire", 1_700_000_000_000)
        store.insert_headlines([HeadlineRow(headline, np.eye(4, dtype=np.float32)[0], 1_700_000_000_000, -1, 0.0)])
        assert store.known_ids(["1", "2"]) == {"1"}
        store.close()
        assert door.let_in > 0
        assert door.refused == 0


def test_the_wrong_token_is_refused_at_once_and_shown_nowhere(
    local_milvus: LocalMilvus, certificates: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with gate(f"127.0.0.1:{local_milvus.port}", SECRET, certificates) as (uri, door):
        for token in (WRONG, f"root:{WRONG}", None):
            said = refused(settings_for(uri, certificates, token=token), capfd)
            assert "does not let newstide in" in said
            assert "NEWSTIDE_MILVUS_TOKEN" in said
        assert door.let_in == 0


def test_a_milvus_signed_by_another_is_not_trusted(
    local_milvus: LocalMilvus, certificates: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with gate(f"127.0.0.1:{local_milvus.port}", SECRET, certificates) as (uri, door):
        for cafile in (certificates / "strange-ca.pem", None):
            assert "certificate verify failed" in refused(settings_for(uri, certificates, ssl_cafile=cafile), capfd)
        by_address = settings_for(uri.replace("localhost", "127.0.0.1"), certificates)
        assert "not valid for '127.0.0.1'" in refused(by_address, capfd)
        assert door.let_in + door.refused == 0, "no token may be sent to a server that is not trusted"


def test_a_milvus_that_asks_for_a_certificate_gets_ours(
    local_milvus: LocalMilvus, certificates: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with gate(f"127.0.0.1:{local_milvus.port}", SECRET, certificates, ask_client=True) as (uri, _door):
        assert "ask for a certificate" in refused(settings_for(uri, certificates), capfd, within=6)
        ours = {"ssl_certfile": certificates / "client.pem", "ssl_keyfile": certificates / "client.key"}
        store = open_store(settings_for(uri, certificates, **ours), ModelCard("test", 4, "f" * 64))
        assert store.count_headlines() == 0
        store.close()


def test_a_port_without_tls_is_named(
    local_milvus: LocalMilvus, certificates: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = refused(settings_for(f"https://127.0.0.1:{local_milvus.port}", certificates), capfd)
    assert "Does that port speak TLS?" in said


def test_a_certificate_without_its_key_is_said_before_anything_is_reached(certificates: Path) -> None:
    settings = settings_for("https://localhost:1", certificates, ssl_certfile=certificates / "client.pem")
    with pytest.raises(SettingsError, match=r"milvus\.ssl_keyfile"):
        open_store(settings, None)
