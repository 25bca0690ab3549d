"""Training: a LightningModule that only connects, and the callbacks of a run."""
