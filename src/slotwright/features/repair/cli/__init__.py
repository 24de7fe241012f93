"""The verbs repair, resume and abort."""
