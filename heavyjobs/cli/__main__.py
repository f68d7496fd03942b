"""`python -m heavyjobs.cli`."""

from heavyjobs.cli import main

main()
