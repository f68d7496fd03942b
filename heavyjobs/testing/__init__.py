"""Tools for tests; the conformance suite needs `pytest` and `pytest-asyncio`."""
