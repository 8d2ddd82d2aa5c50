"""An inference engine: reads and writes texts by a model's program (core/models/program.py) as machine code."""
