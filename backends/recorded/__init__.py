"""Steps that are recorded once and played again: what a recording holds, and what NumPy makes of it."""
