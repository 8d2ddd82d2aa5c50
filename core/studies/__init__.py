"""Several runs together: differences, findings, scaling, sweeps, standings."""
