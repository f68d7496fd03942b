"""Passwords in URLs, kept out of whatever people read: an option, a log line, a traceback, the parameters of a job.

Only what is certainly one is touched, for all else is somebody's data: `scheme://user:password@host`, as the standard has it.
Where a URL may be malformed and nothing but its secret matters, `heavyjobs.settings.without_secrets` hides more.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
_USER_INFO: Final = re.compile(r"(://[^\s:@/?#\"'\\]*:)[^\s@/?#\"'\\]+@")


def without_url_passwords(text: str) -> str:
    """The text with each such password as `***`; it may be JSON, and stays so."""
    return _USER_INFO.sub(rf"\1{MASK}@", text) if "://" in text else text
