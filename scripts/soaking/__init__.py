"""A soak: real processes, real faults, thousands of jobs; then a judge that reads the whole history."""
