"""One folder a capability; inside each: cli > views > api > run > plan > model."""
