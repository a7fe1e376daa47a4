"""What an experience does to leaving, comparing like with like; and what a goal would change."""
