"""Bardlab's model package: corpora, models, training, sampling and runs, usable without the browser."""
