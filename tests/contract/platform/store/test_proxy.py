"""The object store reached through a proxy."""

from __future__ import annotations

import pytest
from little_proxy import little_proxy

from reclens.platform.settings.models import S3Settings
from reclens.platform.store.objects import S3Store


def test_all_that_is_stored_and_read_goes_through_the_proxy(
    s3: S3Settings, monkeypatch: pytest.MonkeyPatch
):
    port = s3.endpoint.rpartition(":")[2]
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with little_proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        store = S3Store(s3.model_copy(update={"endpoint": f"store.nowhere.example:{port}"}))
        store.ensure_bucket()
        store.put("through/a", b"1")
        assert store.put_if_absent("through/b", b"2")
        assert not store.put_if_absent("through/b", b"3")
        assert (store.get("through/b"), store.list("through/")) == (
            b"2",
            ["through/a", "through/b"],
        )
        assert {where for _, where in proxy.asked} == {f"store.nowhere.example:{port}"}
        n_asked = len(proxy.asked)
        # This machine is reached without one.
        assert S3Store(s3).get("through/a") == b"1"
        assert len(proxy.asked) == n_asked
