"""A bucket of an S3-compatible server as a place, by boto3's low-level calls: an upload can be found again after a crash.

    s3://bucket/prefix
    s3://KEY_ID:SECRET@bucket/prefix?endpoint_url=https://minio.example:9000&region=eu-central-1

Without credentials in the URL boto3 looks for them where it always does. A slash in them is written %2F.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, unquote, urlsplit

from heavyjobs.storage.failures import AlreadyThere, Changed, Denied, NotThere, StorageFailed, Unreachable, Unusable
from heavyjobs.storage.keys import below, joined
from heavyjobs.storage.packages import needed
from heavyjobs.storage.protocol import PIECE_BYTES, STALL_SECONDS, Condition, Found, Limits, Notes, Part, Source, part_bytes

CONNECT_SECONDS: Final = 10.0
COPY_MAX_BYTES: Final = 5 << 30
"""Of one CopyObject; larger ones are copied by parts."""
_COPY_PART_BYTES: Final = 1 << 30

_NOT_THERE: Final = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NotFound"})
_DENIED: Final = frozenset({"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
_CONDITION: Final = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
_PASSING: Final = frozenset(
    {
        "InternalError",
        "ServiceUnavailable",
        "SlowDown",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "Throttling",
        "429",
        "BadDigest",
    }
)


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says; `key_id` and `secret` are empty where it says nothing."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None
    key_id: str
    secret: str


def address_of(url: str) -> Address:
    """Read `s3://…`.

    Raises:
        Unusable: says what would do.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if unknown := sorted(options.keys() - {"endpoint_url", "region"}):
        raise Unusable("s3:", f"there is no option {unknown[0]}", would_do="use endpoint_url or region")
    bucket = parts.netloc.rpartition("@")[2]
    if not bucket:
        raise Unusable("s3:", "the URL names no bucket", would_do="write s3://bucket/prefix")
    return Address(
        bucket=bucket,
        prefix=joined(unquote(parts.path)),
        endpoint=options.get("endpoint_url"),
        region=options.get("region"),
        key_id=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
    )


class S3Storage:
    limits: ClassVar[Limits] = Limits(smallest=5 << 20, largest=5 << 30, count=10_000)
    keeps_notes: ClassVar[bool] = True
    keeps_times: ClassVar[bool] = True

    def __init__(self, address: Address) -> None:
        self._at: Final = address
        self._client: Final = _client(address)
        self.skipped = 0

    def stat(self, key: str) -> Found | None:
        if not (full := joined(self._at.prefix, key)):
            return None
        try:
            with _said(key):
                head = self._client.head_object(Bucket=self._at.bucket, Key=full)
        except NotThere:
            return None
        return Found(key=key, bytes=head["ContentLength"], version=head["ETag"], notes=_notes(head))

    def walk(self, key: str) -> Iterator[Found]:
        prefix = joined(self._at.prefix, key)
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._at.bucket, Prefix=f"{prefix}/" if prefix else ""
        )
        with _said(key):
            for page in pages:
                for entry in page.get("Contents", ()):
                    # Consoles make empty objects whose name ends in a slash to show a folder.
                    if not entry["Key"].endswith("/"):
                        yield _listed(below(entry["Key"], self._at.prefix), entry)

    def read(self, found: Found, *, start: int, count: int) -> Iterator[bytes]:
        if not count:
            return
        how = {"IfMatch": found.version} if found.version else {}
        with _said(found.key, condition=_changed):
            answer = self._client.get_object(**self._of(found.key), Range=f"bytes={start}-{start + count - 1}", **how)
            left, body = count, answer["Body"]
            try:
                while left and (data := body.read(min(left, PIECE_BYTES))):
                    left -= len(data)
                    yield data
            finally:
                body.close()
        if left:
            raise Unreachable(found.key, "the server sent less than it should")

    def put(self, key: str, data: bytes, *, notes: Notes, condition: Condition) -> None:
        with _said(key):
            self._client.put_object(**self._of(key), Body=data, Metadata=_metadata(notes), **_if(condition))

    def begin(self, key: str, *, notes: Notes) -> str:
        with _said(key):
            upload: str = self._client.create_multipart_upload(**self._of(key), Metadata=_metadata(notes))["UploadId"]
        return upload

    def put_part(self, key: str, upload: str, *, number: int, start: int, data: bytes) -> Part:
        del start
        with _said(key):
            answer = self._client.upload_part(**self._of(key), UploadId=upload, PartNumber=number, Body=data)
        return Part(number, len(data), answer["ETag"])

    def parts(self, key: str, upload: str) -> Sequence[Part]:
        pages = self._client.get_paginator("list_parts").paginate(**self._of(key), UploadId=upload)
        with _said(key):
            return [Part(part["PartNumber"], part["Size"], part["ETag"]) for page in pages for part in page.get("Parts", ())]

    def read_part(self, key: str, upload: str, part: Part, *, start: int) -> bytes | None:
        del key, upload, part, start
        return None

    def commit(self, key: str, upload: str, parts: Sequence[Part], *, notes: Notes, condition: Condition) -> None:
        del notes  # said when the upload began
        listed = [{"PartNumber": part.number, "ETag": part.tag} for part in parts]
        with _said(key):
            self._client.complete_multipart_upload(
                **self._of(key), UploadId=upload, MultipartUpload={"Parts": listed}, **_if(condition)
            )

    def abort(self, key: str, upload: str) -> None:
        try:
            with _said(key):
                self._client.abort_multipart_upload(**self._of(key), UploadId=upload)
        except NotThere:
            pass

    def copies_from(self, source: Source) -> bool:
        return isinstance(source, S3Storage) and _same_server(source._at, self._at)  # noqa: SLF001 - one of us

    def copy(self, source: Source, found: Found, key: str, *, notes: Notes, condition: Condition) -> None:
        if not isinstance(source, S3Storage):
            raise Unusable(key, "can be copied by the server only from the same server")
        # CopyObject knows no condition on its target; completing an upload does.
        whole = found.bytes == 0 or (found.bytes <= COPY_MAX_BYTES and not (condition.new or condition.version))
        origin = {"CopySource": source._of(found.key), "CopySourceIfMatch": found.version}  # noqa: SLF001
        if whole:
            with _said(key, condition=_changed):
                self._client.copy_object(**self._of(key), **origin, Metadata=_metadata(notes), MetadataDirective="REPLACE")
            return
        upload = self.begin(key, notes=notes)
        try:
            self.commit(key, upload, self._copied(found, key, upload, origin), notes=notes, condition=condition)
        except BaseException:
            self.abort(key, upload)
            raise

    def delete(self, key: str) -> None:
        with _said(key):
            self._client.delete_object(**self._of(key))

    def close(self) -> None:
        self._client.close()

    def _of(self, key: str) -> dict[str, str]:
        return {"Bucket": self._at.bucket, "Key": joined(self._at.prefix, key)}

    def _copied(self, found: Found, key: str, upload: str, origin: dict[str, Any]) -> list[Part]:
        size = part_bytes(found.bytes, wanted=_COPY_PART_BYTES, limits=self.limits)
        parts: list[Part] = []
        for number, start in enumerate(range(0, found.bytes, size), start=1):
            end = min(start + size, found.bytes)
            with _said(key, condition=_changed):
                answer = self._client.upload_part_copy(
                    **self._of(key), **origin, UploadId=upload, PartNumber=number, CopySourceRange=f"bytes={start}-{end - 1}"
                )
            parts.append(Part(number, end - start, answer["CopyPartResult"]["ETag"]))
        return parts


@cache
def _session() -> Any:
    """One for all clients: each would read the description of the service again, which takes a second."""
    return needed("boto3", extra="s3").session.Session()


def _client(address: Address) -> Any:
    config = needed("botocore.config", extra="s3")
    return _session().client(
        "s3",
        endpoint_url=address.endpoint,
        region_name=address.region or ("us-east-1" if address.endpoint else None),
        aws_access_key_id=address.key_id or None,
        aws_secret_access_key=address.secret or None,
        config=config.Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=STALL_SECONDS,
            retries={"total_max_attempts": 1},  # the job itself tries again, and can be stopped meanwhile
            max_pool_connections=64,
            response_checksum_validation="when_required",  # some servers echo the whole object's sum on a range
            s3={"addressing_style": "path"} if address.endpoint else {},
        ),
    )


def _same_server(one: Address, other: Address) -> bool:
    return (one.endpoint, one.key_id, one.secret) == (other.endpoint, other.key_id, other.secret)


def _if(condition: Condition) -> dict[str, str]:
    if condition.new:
        return {"IfNoneMatch": "*"}
    return {"IfMatch": condition.version} if condition.version else {}


def _metadata(notes: Notes) -> dict[str, str]:
    """`mtime` is written as rclone does."""
    said = {"mtime": "" if notes.mtime is None else f"{notes.mtime:.9f}", "heavyjobs": notes.maker, "sha256": notes.sha256}
    return {name: value for name, value in said.items() if value}


def _notes(head: Any) -> Notes:
    said = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
    return Notes(
        mtime=_number(said.get("mtime", "")) or head["LastModified"].timestamp(),
        maker=said.get("heavyjobs", ""),
        sha256=said.get("sha256", ""),
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _listed(key: str, entry: Any) -> Found:
    return Found(key=key, bytes=entry["Size"], version=entry["ETag"], notes=Notes(mtime=entry["LastModified"].timestamp()))


def _exists(key: str) -> StorageFailed:
    return AlreadyThere(key, "exists, or changed meanwhile")


def _changed(key: str) -> StorageFailed:
    return Changed(key, "changed while it was read")


@contextmanager
def _said(key: str, *, condition: Callable[[str], StorageFailed] = _exists) -> Generator[None]:
    """boto3's errors in the words of the protocol; `condition` makes the one for a condition that does not hold."""
    errors = needed("botocore.exceptions", extra="s3")
    http = needed("urllib3.exceptions", extra="s3")
    try:
        yield
    except errors.ClientError as error:
        raise _failure(key, error.response, condition) from None
    except errors.NoCredentialsError:
        would_do = "put them into the location's URL, or name AWS_… in workers.environment"
        raise Denied(key, "there are no credentials", would_do=would_do) from None
    except (errors.ParamValidationError, errors.NoRegionError, ValueError) as error:
        raise Unusable(key, f"cannot be asked for: {error}") from None
    except (errors.BotoCoreError, http.HTTPError, OSError) as error:
        raise Unreachable(key, f"the server does not answer: {error}") from None


def _failure(key: str, response: Any, condition: Callable[[str], StorageFailed]) -> StorageFailed:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"the server says {code} {response.get('Error', {}).get('Message', '')}".strip()
    if code in _CONDITION:
        return condition(key)
    if code in _PASSING or status >= 500 or status == 429:
        return Unreachable(key, text)
    if code in _NOT_THERE:
        return NotThere(key, "is not there")
    return Denied(key, text) if code in _DENIED or status == 403 else Unusable(key, text)
