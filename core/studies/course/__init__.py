"""What teaches: trainings broken on purpose, guesses before a run."""
