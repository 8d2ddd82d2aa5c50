"""What a job runs: `python -m core.jobs.worker RUN_FOLDER [DEVICE]`.

`--spare` to stand by for one, `--probe` to time rungs, `--compile` to prepare the machine code that writes texts.

The worker owns its run folder: it holds the lock, writes status, curves, samples and weights, and ends in a state that
says what happened. It prints to the run's log file, never into a pipe that somebody would have to drain.
"""

import sys

from core.jobs import waiting

if __name__ == "__main__":
    waiting.main(sys.argv[1:])
