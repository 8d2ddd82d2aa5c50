"""Fair races: rungs that start together with something equal, and who is ahead at a place that they have reached."""
