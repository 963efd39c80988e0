"""Where sessions are kept: one file per kind of store, one contract."""
