"""Mend what is broken, losing nothing; resume and abort."""
