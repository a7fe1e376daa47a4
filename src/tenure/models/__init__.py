"""The models: churn candidates, their calibration, and the purchase and spend models."""
