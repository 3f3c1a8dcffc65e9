"""Compare more than two dates: a common grid, dates of scenes, maps over all intervals."""
