"""Tools for tests; the suite for stores needs what `heavyjobs[testing]` brings."""
