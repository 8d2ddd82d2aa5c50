"""Writing without the interpreter: a model's program (core/models/program.py) as machine code, and who calls it."""
