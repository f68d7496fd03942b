"""The promises of a store, one worry to a file; `heavyjobs.testing.conformance` puts them together."""

from pkgutil import iter_modules

import pytest

# So that a broken promise shows what was found, in whatever order the files are imported.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
