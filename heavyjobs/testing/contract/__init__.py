"""The promises of a store, one worry to a file; `heavyjobs.testing.conformance` puts them together."""

from importlib.util import find_spec
from pkgutil import iter_modules

_MISSING = [name for name in ("pytest", "pytest_asyncio", "pytest_timeout", "hypothesis") if find_spec(name) is None]
if _MISSING:
    raise ImportError(f"the suite for stores needs {', '.join(_MISSING)}; pip install 'heavyjobs[testing]'")

import pytest  # noqa: E402  # once it is known to be there

# So that a broken promise shows what was found, in whatever order the files are imported.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
