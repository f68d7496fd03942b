"""Collect what shows that nothing is lost and nothing done twice, and print it as one table."""
