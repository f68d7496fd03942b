"""Job types in the box: ordinary jobs, nothing privileged. Importing this package registers them all."""

from heavyjobs.jobs.archive import Convert, Pack
from heavyjobs.jobs.copy import Copy
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.sync import Sync
from heavyjobs.jobs.transcode import Transcode
from heavyjobs.jobs.verify import Verify

__all__ = ["Convert", "Copy", "Pack", "Progress", "Sync", "Transcode", "Verify"]
