"""The JSON of `migrate`: of its end and its state (``migration.py``), and of its plan (``plan.py``): of both sides
(``sides.py``), and of the commands that were listened to (``sample.py``)."""
