"""Job types in the box: ordinary jobs, nothing privileged. Importing this package registers them all."""

from heavyjobs.jobs.archive import Convert, Pack
from heavyjobs.jobs.chunked import ChunkedTranscode
from heavyjobs.jobs.copy import Copy
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.transcode import Transcode

__all__ = ["ChunkedTranscode", "Convert", "Copy", "Pack", "Progress", "Transcode"]
