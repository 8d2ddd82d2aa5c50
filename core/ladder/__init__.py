"""The ladder: one declaration a rung, and the registry of them all."""
