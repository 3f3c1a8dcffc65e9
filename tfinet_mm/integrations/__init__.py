"""Work with other packages that read or train the same data."""
