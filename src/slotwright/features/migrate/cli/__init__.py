"""The verb migrate, and a migration as a job."""
