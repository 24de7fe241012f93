"""Values about keys: counts, samples, comparisons, and slots that are moved."""
