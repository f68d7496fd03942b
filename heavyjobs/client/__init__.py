"""Asking: submit jobs, await them, watch them, change them; from an event loop or from plain threads."""

from __future__ import annotations

from heavyjobs.client.client import Client
from heavyjobs.client.handle import Handle
from heavyjobs.client.sync import SyncClient, SyncHandle
from heavyjobs.client.updates import Idle, Logged, Reported, StateChanged, Update

__all__ = ["Client", "Handle", "Idle", "Logged", "Reported", "StateChanged", "SyncClient", "SyncHandle", "Update"]
