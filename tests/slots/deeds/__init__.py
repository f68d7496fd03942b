"""What jobs do in the tests of workers, one function each, by worry. Workers import this."""

from tests.slots.deeds import changing, ending, hanging, harming, leaving, muting, saying, waiting

__all__ = ["changing", "ending", "hanging", "harming", "leaving", "muting", "saying", "waiting"]
