"""What breaks is real, and so is what it breaks: stores, coordinators, clients as everywhere."""

from __future__ import annotations

from tests.lifecycle.conftest import client, coordinator, tested_by, url
from tests.slots.conftest import worker

__all__ = ["client", "coordinator", "tested_by", "url", "worker"]
