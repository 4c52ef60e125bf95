"""Coverage-guided fuzzing: each module is a target, `python -m tests.fuzz.NAME --seconds N`."""
