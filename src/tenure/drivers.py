"""Why customers leave."""
