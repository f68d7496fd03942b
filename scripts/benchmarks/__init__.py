"""How well heavyjobs does, in figures. `scripts/bench` runs it."""
