"""heavyjobs: a runner for heavy work that needs nothing but a database."""
