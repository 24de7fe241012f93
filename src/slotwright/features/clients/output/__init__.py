"""The JSON of `client`: of configurations (``config.py``), and of `client test` (``path.py``)."""
