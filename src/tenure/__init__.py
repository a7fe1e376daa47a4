"""Tenure: which customers are about to leave, what they are worth, and what drives it."""
