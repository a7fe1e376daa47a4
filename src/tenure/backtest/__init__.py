"""What the procedure would have said in the past: churn by rolling origins, value by holdout."""
