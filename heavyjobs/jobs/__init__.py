"""Job types in the box: ordinary jobs, nothing privileged. Importing this package registers them all."""

from heavyjobs.jobs.archive import Convert, Pack
from heavyjobs.jobs.archive_list import ListArchive
from heavyjobs.jobs.archive_verify import VerifyArchive
from heavyjobs.jobs.chunked import ChunkedTranscode
from heavyjobs.jobs.chunks import Join, Split, VerifyChunks
from heavyjobs.jobs.copy import Copy
from heavyjobs.jobs.extract import Extract
from heavyjobs.jobs.extract_audio import ExtractAudio
from heavyjobs.jobs.hls import MakeHls
from heavyjobs.jobs.media_probe import Probe
from heavyjobs.jobs.progress import Progress
from heavyjobs.jobs.sync import Sync
from heavyjobs.jobs.thumbnails import MakeThumbnails
from heavyjobs.jobs.transcode import Transcode
from heavyjobs.jobs.verify import Verify

__all__ = [
    "ChunkedTranscode",
    "Convert",
    "Copy",
    "Extract",
    "ExtractAudio",
    "Join",
    "ListArchive",
    "MakeHls",
    "MakeThumbnails",
    "Pack",
    "Probe",
    "Progress",
    "Split",
    "Sync",
    "Transcode",
    "Verify",
    "VerifyArchive",
    "VerifyChunks",
]
