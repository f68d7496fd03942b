"""The promises of a store, one worry to a file; `heavyjobs.testing.conformance` puts them together."""
