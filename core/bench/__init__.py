"""Measured figures. Every comparison is made in one run, its sides in turn, and given as a ratio of medians."""
