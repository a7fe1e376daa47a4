"""From log-odds to words: points of churn probability by factor, and reasons for one customer."""
