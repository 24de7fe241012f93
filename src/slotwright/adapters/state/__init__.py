"""The state folder: records, locks, journals, jobs, quarantine and crash reports."""
