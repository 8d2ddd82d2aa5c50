"""One file a rung of the ladder; each reads top to bottom like a lecture."""
