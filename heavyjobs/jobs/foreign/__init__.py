"""7z and rar, read with the machine's libarchive.

reading.py ─── starts ──▶ child.py, a limited process: libarchive, and nothing of ours
     │ frames over a pipe
     ▼
(Member, its bytes) ... as every other reader gives them; what is written is written by the same hands

What libarchive passes over is looked at before, by walking over the file without unpacking anything: rar.py, sevenzip.py.
"""

from heavyjobs.jobs.foreign.reading import Foreign, reading_foreign

__all__ = ["Foreign", "reading_foreign"]
