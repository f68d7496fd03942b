"""Know one's own work again: whoever dies after publishing, and before it could say so, is not to find its target taken.

Guarantees: only the very file or folder that an earlier attempt made is taken for it, unchanged since; a file in its place is
not. Nothing of the source is read again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from loguru import logger
from pydantic import BaseModel

from heavyjobs import durable
from heavyjobs.context import Context
from heavyjobs.jobs.places import state_of
from heavyjobs.jobs.trouble import shown
from heavyjobs.outputs import Output

R = TypeVar("R", bound=BaseModel)


class Finished(BaseModel):
    """The checkpoint, or the part of it that says what is about to be published.

    Attributes:
        path: where. state: what tells it from all others, under whichever name; empty where nothing is finished.
        result: of the job, as JSON.
    """

    path: str = ""
    state: str = ""
    result: str = ""


def finish(ctx: Context[Any, Any], out: Output, result: BaseModel, *, path: Path, kept: Finished | None = None) -> None:
    """Say that the output is whole, and will be published at `path` at once; what else was kept stays."""
    durable.sync_tree(out.path)
    said = {"path": str(path), "state": state_of(out.path), "result": result.model_dump_json()}
    ctx.checkpoint((kept or Finished()).model_copy(update=said))


def finished(ctx: Context[Any, Any], result: type[R]) -> R | None:
    """The result of an earlier attempt that has published its output; None when there was none."""
    kept = ctx.resume(Finished)
    if kept is None or not is_there(Path(kept.path), kept.state):
        return None
    logger.info("{} was published by an earlier attempt, which died before it could say so", shown(kept.path))
    return result.model_validate_json(kept.result)


def is_there(path: Path, state: str) -> bool:
    """Whether the thing of that state has that name; a symlink to it is not it."""
    try:
        return bool(state) and not path.is_symlink() and state_of(path) == state
    except OSError:
        return False
