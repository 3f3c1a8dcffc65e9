"""Read configs (``reading``), and check them before anything is built (``check``)."""
