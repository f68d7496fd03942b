"""Tools for tests; they need `pytest` and `pytest-asyncio`."""
