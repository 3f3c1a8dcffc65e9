"""Reading configs (``reading``), and checking them before anything is built (``check``)."""
