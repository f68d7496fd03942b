"""What `Client.open` returns: a client once it is entered, and until then the advice to enter it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NoReturn, TypeVar

from typing_extensions import override

from heavyjobs.errors import UsageError

C = TypeVar("C")

_ADVICE: Final = "the client is not open yet; write async with Client.open(…) as client, and use it in that block"


class Opening(AbstractAsyncContextManager[C, None]):
    """Enters what it is given; used in any other way it says what would do."""

    def __init__(self, opened: AbstractAsyncContextManager[C]) -> None:
        self._opened: Final = opened

    @override
    async def __aenter__(self) -> C:
        return await self._opened.__aenter__()

    @override
    async def __aexit__(self, *exc_info: Any) -> None:
        await self._opened.__aexit__(*exc_info)

    def __await__(self) -> NoReturn:
        raise UsageError(_ADVICE)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UsageError(f"{name}: {_ADVICE}")
