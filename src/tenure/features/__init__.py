"""Point-in-time features: one small function each, grouped by the log they read."""
