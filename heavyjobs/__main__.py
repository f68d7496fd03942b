"""`python -m heavyjobs`, the same as the command `heavyjobs`."""

from heavyjobs.cli import main

if __name__ == "__main__":
    main()
