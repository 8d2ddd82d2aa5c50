"""Training a model; knows no rung and no run."""
