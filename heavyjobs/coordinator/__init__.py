"""Judgement: one coordinator per host claims jobs, ticks, dispatches, relays, and takes back what others left behind."""

from heavyjobs.coordinator.coordinator import Coordinator, serve

__all__ = ["Coordinator", "serve"]
