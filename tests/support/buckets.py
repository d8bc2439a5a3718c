"""Buckets that live as long as the tests that use them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from reclens.platform.settings.models import S3Settings
from reclens.platform.store.objects import S3Store


@contextmanager
def bucket_of_ones_own(s3: S3Settings) -> Iterator[S3Settings]:
    """An empty bucket of ``s3``, removed on leaving with all that is in it."""
    own = s3.model_copy(update={"bucket": f"own-{secrets.token_hex(6)}"})
    store = S3Store(own)
    store.ensure_bucket()
    try:
        yield own
    finally:
        for key in store.list(""):
            store.delete(key)
        store._client.remove_bucket(bucket_name=own.bucket)
