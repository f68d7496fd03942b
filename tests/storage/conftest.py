"""A server for all tests of a process, a bucket for each."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from heavyjobs.locations import Locations
from tests.storage.relay import Relay, relay
from tests.storage.servers import ID, SECRET, moto


@dataclass
class Bucket:
    """A bucket, asked by boto3 itself: not by what is tested."""

    name: str
    endpoint: str
    client: Any

    def url(self, prefix: str = "", *, endpoint: str | None = None) -> str:
        user = f"{ID}:{quote(SECRET, safe='')}"
        return f"s3://{user}@{self.name}/{prefix}?endpoint_url={endpoint or self.endpoint}&region=us-east-1"

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def keys(self) -> list[str]:
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def uploads(self) -> list[str]:
        """Keys of the uploads that are open."""
        return [entry["Key"] for entry in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]


SESSION: Any = import_module("boto3.session").Session()


def bucket_at(endpoint: str, name: str | None = None) -> Bucket:
    client = SESSION.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=ID, aws_secret_access_key=SECRET
    )
    name = name or f"b{uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return Bucket(name, endpoint, client)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with moto() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: str) -> Iterator[Bucket]:
    found = bucket_at(s3)
    yield found
    found.client.close()


@pytest.fixture
def trouble(s3: str) -> Iterator[Relay]:
    """A way to the server with faults."""
    with relay(s3) as found:
        yield found


@pytest.fixture
def fleet(bucket: Bucket, tmp_path: Path) -> Locations:
    """`s3:` is a prefix in the bucket, `here:` a folder."""
    (tmp_path / "here").mkdir()
    return Locations({"s3": bucket.url("pre/fix"), "here": str(tmp_path / "here")}, plain=False)


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Clients of S3 leave connections of their pools open until they are collected, which may be at any moment: here, at the
    latest, and not amid somebody else's test.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
        yield
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
