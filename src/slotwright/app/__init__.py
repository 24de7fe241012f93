"""The composition root: adapters are put into ports here, and targets are looked up."""
