"""How fast and how small the feature engine is; `make bench` prints the table."""
