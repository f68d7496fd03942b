"""`python -m heavyjobs` on what says that it is another host, so that others judge it by its silence alone."""

from __future__ import annotations

import socket

from heavyjobs.cli import main

if __name__ == "__main__":
    name = f"elsewhere-{socket.gethostname()}"
    socket.gethostname = lambda: name
    main()
