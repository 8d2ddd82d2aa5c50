"""The course: a tour, exercises, terms and how far a learner is; trainings broken on purpose, guesses before a run."""
