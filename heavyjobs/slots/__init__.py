"""Muscle: worker processes, what they are asked and what they say, and how they are ended."""
