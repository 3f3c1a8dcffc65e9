"""Networks as files for other runtimes: writing them, and what they say about themselves."""
