"""How good the models are, with intervals."""
