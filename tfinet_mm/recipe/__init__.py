"""A whole recipe in one command: trainings, pseudo labels, trainings on them, tests, one table."""
