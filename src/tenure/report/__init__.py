"""What people read: the summary of a run, and the report for retention teams."""
