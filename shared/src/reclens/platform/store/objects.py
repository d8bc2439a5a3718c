"""Bytes under keys: the few operations that artifacts need, and S3, where they are by default.

Another store is a subclass of `ObjectStore` with an entry point of ``reclens.stores``.
"""

from __future__ import annotations

import base64
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import SplitResult, unquote, urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.credentials.credentials import Credentials
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.lifecycleconfig import AbortIncompleteMultipartUpload, LifecycleConfig, Rule
from minio.signer import sign_v4_s3
from minio.time import to_amz_date
from urllib3.util import parse_url

from reclens.errors import (
    CorruptArtifact,
    InvalidInput,
    NotFound,
    StoreRefused,
    StoreUnavailable,
)
from reclens.extensions import ExtensionPoint, subclass_of
from reclens.platform.settings.models import S3Settings, StoreSettings
from reclens.platform.store.s3_errors import PASSING_STATUS, refusal_of
from reclens.proxies import named, proxy_of_url

_UPLOADS = "reclens-unfinished-uploads"
_CONNECT_SECONDS = 5
_READ_SECONDS = 60


class StoredObject(NamedTuple):
    """An object as a listing shows it."""

    key: str
    """Where it lies."""
    size: int
    """Bytes."""
    modified: datetime
    """When it was put, by the store's clock."""


class UnfinishedUpload(NamedTuple):
    """An upload in parts that was begun and neither finished nor given up: it takes room, and no
    listing of objects shows it."""

    key: str
    """The object that it was to become."""
    upload_id: str
    """What the store calls it."""
    begun: datetime
    """When, by the store's clock."""


class ObjectStore(ABC):
    """Objects by key, e.g. ``autoencoders/0123456789abcdef/manifest.json``.

    An object is seen whole or not at all, and what was written is read at once by everybody.

    Raises (all methods):
        StoreUnavailable: the store does not answer just now.
        NotFound: the object does not exist.
    """

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        """The store that the settings name; nothing is sent until the first call."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Store ``data``, replacing what was there."""

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` unless the key exists; of any number of racers exactly one gets True."""

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Read a small object whole."""

    def get_document(self, key: str, max_bytes: int = 1 << 20) -> bytes:
        """Read a JSON document, which somebody else may have written.

        Raises:
            CorruptArtifact: it has more than ``max_bytes``; the rest is not read.
        """
        data = bytearray()
        for chunk in self.get_chunks(key):
            data += chunk
            if len(data) > max_bytes:
                raise CorruptArtifact(
                    f"{key} has more than {max_bytes} bytes.",
                    field="object",
                    remedy="RecLens writes no such document: bring the object back from a copy of "
                    "the bucket.",
                )
        return bytes(data)

    @abstractmethod
    def list(self, prefix: str) -> list[str]:
        """Keys that begin with ``prefix``, sorted."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is no error."""

    def put_file(self, key: str, path: Path) -> None:
        """Store a file, streamed where the store can."""
        self.put(key, path.read_bytes())

    def get_chunks(self, key: str, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Read an object as a stream of chunks, where the store can."""
        data = self.get(key)
        for start in range(0, len(data), chunk_bytes):
            yield data[start : start + chunk_bytes]

    def exists(self, key: str) -> bool:
        """Whether there is an object called ``key``."""
        return key in self.list(key)

    def etags(self, prefix: str) -> Mapping[str, str]:
        """Keys that begin with ``prefix``, each with what changes where its bytes do; empty where
        the store tells of no such thing."""
        return dict.fromkeys(self.list(prefix), "")

    # --- for those who clean up, and copy --------------------------------------------------------

    def entries(self, prefix: str) -> list[StoredObject]:
        """Objects below ``prefix`` with size and time, sorted by key.

        Raises:
            InvalidInput: this kind of store does not tell.
        """
        raise InvalidInput(
            f"{type(self).__name__} tells neither size nor time of its objects.",
            field="store.kind",
            remedy="see `entries` in docs/how-to/extend/store.md.",
        )

    def now(self) -> datetime:
        """The time by the clock that `entries` are dated with."""
        return datetime.now(UTC)

    def unfinished_uploads(self) -> list[UnfinishedUpload]:
        """Uploads that were begun and not finished, a thousand at most; none where the store knows
        no such thing."""
        return []

    def abort_upload(self, upload: UnfinishedUpload) -> None:  # noqa: B027 - there are none
        """Give such an upload up; one that has ended meanwhile is no error."""


class S3Store(ObjectStore):
    """One bucket of any store that speaks S3 with conditional puts.

    Raises (all methods):
        StoreUnavailable: the store does not answer, or asks to slow down.
        NotFound: the object or bucket does not exist.
    """

    def __init__(self, settings: S3Settings) -> None:
        self.bucket = settings.bucket
        self._region = settings.region
        self._endpoint = settings.endpoint
        self._address = f"{'https' if settings.secure else 'http'}://{settings.endpoint}"
        self._proxy = proxy_of_url(self._address)
        self._http = _pool(
            self._proxy,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            retries=urllib3.Retry(
                total=2,
                backoff_factor=0.2,
                status_forcelist=(HTTPStatus.CONFLICT, *PASSING_STATUS),
                raise_on_status=False,
            ),
            maxsize=8,
        )
        access_key = settings.access_key.get_secret_value()
        secret_key = settings.secret_key.get_secret_value()
        # Without keys nothing is signed, for stores that let everybody in.
        self._credentials = Credentials(access_key, secret_key) if access_key else None
        self._client = Minio(
            endpoint=settings.endpoint,
            access_key=access_key,
            secret_key=secret_key,
            secure=settings.secure,
            region=settings.region,
            http_client=self._http,
        )

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> Self:
        return cls(settings.s3)

    def ensure_bucket(self) -> None:
        """Make the bucket unless it exists."""

        with self._errors(""):
            if not self._client.bucket_exists(bucket_name=self.bucket):
                self._client.make_bucket(bucket_name=self.bucket, location=self._region)

    def expire_uploads(self, days: int) -> bool:
        """Let the store itself give up uploads that were begun so long ago and never finished;
        whether it takes such a rule from these keys. Rules that there are stay."""
        try:
            with self._errors(""):
                found = self._client.get_bucket_lifecycle(bucket_name=self.bucket)
                rules = [one for one in (found.rules if found else []) if one.rule_id != _UPLOADS]
                rule = Rule(
                    ENABLED,
                    rule_filter=Filter(prefix=""),
                    rule_id=_UPLOADS,
                    abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days),
                )
                self._client.set_bucket_lifecycle(
                    bucket_name=self.bucket, config=LifecycleConfig([*rules, rule])
                )
        except (StoreRefused, StoreUnavailable):
            return False
        return True

    def put(self, key: str, data: bytes) -> None:
        """Store ``data``, replacing what was there."""
        self._put(key, data)

    def put_file(self, key: str, path: Path) -> None:
        """Store a file, streamed, in parts where it is large."""
        with self._errors(key):
            self._client.fput_object(bucket_name=self.bucket, object_name=key, file_path=str(path))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` unless the key exists; of any number of racers exactly one gets True."""
        return self._put(key, data, {"If-None-Match": "*"})

    def _put(self, key: str, data: bytes, conditions: Mapping[str, str] | None = None) -> bool:
        """Store a small object; False where a condition does not hold."""
        # SeaweedFS keeps an empty object where the writer dies between headers and body, unless it
        # is told what to expect: a pointer that can no longer be read, or a manifest that can never
        # be written. The client sends neither that nor conditions.
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        with self._errors(key):
            link = self._client.presigned_put_object(bucket_name=self.bucket, object_name=key)
            # Signed in its headers: a signed link is a right, and links are logged.
            url = urlsplit(link)._replace(query="")
            headers = self._signed(url, data, {"Content-MD5": digest, **(conditions or {})})
            response = self._http.request("PUT", url.geturl(), body=data, headers=headers)
        if response.status == HTTPStatus.PRECONDITION_FAILED:
            return False
        if response.status != HTTPStatus.OK:
            try:
                error = S3Error.fromxml(response)
            except ParseError:
                error = S3Error(response, f"status {response.status}", None, key, None, None)
            raise refusal_of(error, self.bucket, key)
        return True

    def _signed(self, url: SplitResult, data: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """``headers`` of a put with what proves who sends it."""
        if self._credentials is None:
            return headers
        now, content = datetime.now(UTC), hashlib.sha256(data).hexdigest()
        return sign_v4_s3(
            method="PUT",
            url=url,
            region=self._region,
            headers={
                "Host": url.netloc,
                "x-amz-content-sha256": content,
                "x-amz-date": to_amz_date(now),
                **headers,
            },
            credentials=self._credentials,
            content_sha256=content,
            date=now,
        )

    def get(self, key: str) -> bytes:
        """Read a small object whole."""
        return b"".join(self.get_chunks(key))

    def get_chunks(self, key: str, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Read an object as a stream of chunks."""
        with self._errors(key):
            response = self._client.get_object(bucket_name=self.bucket, object_name=key)
            try:
                yield from response.stream(chunk_bytes)
            finally:
                response.close()
                response.release_conn()

    def exists(self, key: str) -> bool:
        """Whether there is an object called ``key``."""
        try:
            with self._errors(key):
                self._client.stat_object(bucket_name=self.bucket, object_name=key)
        except NotFound:
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        """Keys below ``prefix``, sorted."""
        return sorted(self.etags(prefix))

    def etags(self, prefix: str) -> Mapping[str, str]:
        """Keys below ``prefix`` with their ETags."""
        with self._errors(prefix):
            found = self._client.list_objects(
                bucket_name=self.bucket, prefix=prefix, recursive=True
            )
            return {item.object_name or "": item.etag or "" for item in found}

    def entries(self, prefix: str) -> list[StoredObject]:
        """Objects below ``prefix`` with size and time, sorted by key."""
        with self._errors(prefix):
            found = self._client.list_objects(
                bucket_name=self.bucket, prefix=prefix, recursive=True
            )
            return sorted(
                StoredObject(item.object_name or "", item.size or 0, item.last_modified)
                for item in found
                if item.last_modified is not None
            )

    def now(self) -> datetime:
        """The time by the store's clock, to the second."""
        with self._errors(""):
            # Unsigned: refused or not, every answer says when it was given.
            response = self._http.request("HEAD", f"{self._address}/")
        told = response.headers.get("Date")
        return parsedate_to_datetime(told) if told else datetime.now(UTC)

    def unfinished_uploads(self) -> list[UnfinishedUpload]:
        """Uploads that were begun and not finished, the first thousand."""
        with self._errors(""):
            page = self._client._list_multipart_uploads(self.bucket)
        return [
            UnfinishedUpload(one.object_name, one.upload_id or "", one.initiated_time)
            for one in page.uploads
            if one.initiated_time is not None
        ]

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Give such an upload up; one that has ended meanwhile is no error."""
        with suppress(NotFound), self._errors(upload.key):
            self._client._abort_multipart_upload(self.bucket, upload.key, upload.upload_id)

    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is no error."""
        with self._errors(key):
            self._client.remove_object(bucket_name=self.bucket, object_name=key)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            raise refusal_of(error, self.bucket, key) from error
        except (urllib3.exceptions.HTTPError, ServerError, InvalidResponseError, OSError) as error:
            raise StoreUnavailable(
                f"the object store at {self._endpoint}{named(self._proxy)} does not answer "
                f"({type(error).__name__}).",
                field="s3.endpoint",
                remedy="check that it runs (`reclens status`) and RECLENS_S3__ENDPOINT.",
            ) from error


def _pool(proxy: str, **options: Any) -> urllib3.PoolManager:
    """Connections straight to the store, or through a proxy."""
    if not proxy:
        return urllib3.PoolManager(**options)
    auth = parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(auth)) if auth else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


STORES: ExtensionPoint[type[ObjectStore]] = ExtensionPoint(
    "reclens.stores",
    noun="store",
    field="store.kind",
    page="docs/how-to/extend/store.md",
    flaw=subclass_of(ObjectStore, "reclens.platform.store.objects.ObjectStore"),
)
"""Each a subclass of `ObjectStore`, named as the setting ``RECLENS_STORE__KIND`` names it."""
