"""`newstide upgrade` waits for those who write; what it does is tested in tests/store/test_store_upgrade.py."""

import pytest

from newstide.core.errors import NewstideError
from newstide.core.settings import MilvusSettings, Settings
from newstide.milvus.upgrade import Upgraded
from newstide_app.maintenance import upgrade as upgrading


def test_it_refuses_while_a_consumer_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrading, "writers_at_work", lambda _kafka: ("a consumer is",))
    with pytest.raises(NewstideError, match="A consumer is at work") as refused:
        upgrading.upgrade(Settings())
    assert "give the same command again" in refused.value.way_out


def test_where_nothing_was_made_yet_there_is_nothing_to_do(milvus_settings: MilvusSettings) -> None:
    assert upgrading.upgrade(Settings(milvus=milvus_settings)) == Upgraded(0, 0)
