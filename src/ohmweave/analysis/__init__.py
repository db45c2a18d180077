"""Numbers from results: pure functions."""
