"""Chunks: a file cut into pieces that are stored once each, a manifest that names them in order, and the way back.

file ──cutting──▶ pieces ──store──▶ folder/ab/abcd…      (chunk.split)
                    └────manifest──▶ photos.chunks
photos.chunks + folder ──▶ file                          (chunk.join)
photos.chunks + folder ──▶ what is missing or damaged    (chunk.verify)
"""

from heavyjobs.jobs.chunks.join import Join
from heavyjobs.jobs.chunks.split import Split
from heavyjobs.jobs.chunks.verify import VerifyChunks

__all__ = ["Join", "Split", "VerifyChunks"]
